"""`napari-smse export`: a model for other tools."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from napari_smse import models
from napari_smse.cli.console import Console
from napari_smse.cli.options import ModelArgument
from napari_smse.errors import RequestError
from napari_smse.models.model_files import read_card
from napari_smse.scoring import is_trained_scale
from napari_smse.scoring.request import require_tiles


class Target(StrEnum):
    """What a model is written for."""

    WSINFER = "wsinfer"


def export(
    model: ModelArgument,
    out: Annotated[Path, typer.Option("--out", help="Folder to write into.")],
    to: Annotated[
        Target, typer.Option(help="wsinfer: for QuPath and WSInfer, as TorchScript.")
    ] = Target.WSINFER,
    mpp: Annotated[
        float | None, typer.Option(help="The one scale that the exported model is for, µm/px.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a model that lies there.")
    ] = False,
) -> None:
    """Write a model for other tools; what was written is read again and compared first."""
    from napari_smse.models.wsinfer.export import export_wsinfer

    console = Console()
    card = read_card(model)
    require_tiles(card)
    scale = _scale(card, mpp)
    if not is_trained_scale(scale, card):
        console.warn(f"{card.label} was trained at {card.trained_scales} µm/px, not at {scale:g}")
    if card.encoder is not None:
        console.warn(
            f"the export holds the weights of {card.encoder.name}, whose licence "
            f"({card.encoder.licence}) says who they may be passed on to"
        )
    network = models.load_model(model).network
    difference = export_wsinfer(network, card, out, scale, overwrite=overwrite)
    console.report(f"{card.label} for {to}, at {scale:g} µm/px: {out}")
    console.report(f"largest difference of a probability from ours: {difference:.1e}")


def _scale(card: models.ModelCard, mpp: float | None) -> float:
    low, high = card.mpp_range
    if mpp is None:
        # 20x, or what is next to it.
        return min(max(0.5, low), high)
    if mpp <= 0:
        raise RequestError(f"{mpp:g} µm/px is no scale: give one above 0, such as 0.5.")
    return mpp
