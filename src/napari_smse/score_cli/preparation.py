"""What a shell's words amount to: a request, a network and where it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_smse import models
from napari_smse.score_cli.slides_told import SlidesTold
from napari_smse.scoring import (
    ScoreRequest,
    choose_devices,
    on_fastest,
    parse_scale,
)
from napari_smse.tiles import TileSpec

if TYPE_CHECKING:
    from napari_smse.models import Model
    from napari_smse.scoring import ComputeDevice

_USUAL_SCALES = ("0.5",)


def request_of(
    scales: Sequence[str] | None, overlap: float, min_tissue: float, *, first_look: bool = False
) -> ScoreRequest:
    """Read what is asked for, the region apart.

    Raises
    ------
    ScaleError
        If a scale or overlap is impossible.
    """
    mpps = tuple(parse_scale(text) for text in scales or _USUAL_SCALES)
    for mpp in mpps:
        TileSpec(1, mpp, mpp, overlap)  # refuses impossible scales and overlaps
    return ScoreRequest(mpps, overlap, min_tissue, first_look=first_look)


def load(
    model: str, devices: str, told: SlidesTold, *, exact: bool
) -> tuple[Model, list[ComputeDevice]]:
    """Load a network and find the fastest way to run it; torch is imported only now.

    Raises
    ------
    ModelError, DeviceError
        If there is no such model or device.
    """
    chosen = choose_devices(devices, exact=exact)
    loaded = models.load_model(model)
    if not exact:
        chosen = [on_fastest(device, loaded) for device in chosen]
    where = " and ".join(device.how for device in chosen)
    told.say(f"Model {loaded.card.name} on {where}. Research use only.")
    return loaded, chosen
