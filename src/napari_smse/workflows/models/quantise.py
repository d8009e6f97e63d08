"""Bring a model into int8 with tiles of a user's slides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.progress import Progress, Task
from napari_smse.scoring import ScoreRequest, read_block
from napari_smse.scoring.device import Quantisation
from napari_smse.slides import Slide

if TYPE_CHECKING:
    from napari_smse.models import Model

_TILES: Final = 128
"""Half of them are calibrated on, and half are measured."""


def quantise_model(
    model: Model, slides: Sequence[Slide], mpps: tuple[float, ...]
) -> Task[Quantisation]:
    """Make the int8 network of a model, which scores with the precision ``int8`` from then on.

    It is calibrated on tiles from all over the slides: on generated ones alone, what the layers of
    the bundled model give for real tissue lies outside the ranges found. The same slides give the
    same tiles.

    Parameters
    ----------
    model
        The loaded model.
    slides
        Of the kind that is to be scored.
    mpps
        Scales to be scored at, um/px.

    Raises
    ------
    SlideError, ScaleError, NoTissueError
        A slide cannot be read, or there is nothing to score.
    DeviceError, ModelError, OutputError
        As `napari_smse.scoring.runtimes.quantising.quantise`.
    """
    from napari_smse.scoring.runtimes.quantising import quantise

    parts = []
    for number, slide in enumerate(slides):
        yield Progress(number, len(slides), message=f"Reading tiles of {slide.name} …")
        parts.append(_tiles(slide, model, mpps, -(-_TILES // len(slides))))
    yield Progress(len(slides), len(slides), message="Quantising …")
    return quantise(model, np.concatenate(parts), len(slides))


def _tiles(slide: Slide, model: Model, mpps: tuple[float, ...], count: int) -> NDArray[np.uint8]:
    """Read tiles of blocks that lie evenly spread over a slide."""
    plan = ScoreRequest(mpps).plan(slide, model.card)
    order = _spread(len(plan.blocks))
    found: list[NDArray[np.uint8]] = []
    while order and sum(map(len, found)) < count:
        found.append(read_block(slide, plan, plan.blocks[order.pop(0)]))
    return np.concatenate(found)[:count]


def _spread(count: int) -> list[int]:
    """Return the numbers below `count` so that any first few of them lie far apart."""
    golden = (5**0.5 - 1) / 2
    order: list[int] = np.argsort(np.arange(count) * golden % 1, kind="stable").tolist()
    return order
