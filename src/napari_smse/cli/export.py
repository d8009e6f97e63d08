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
from napari_smse.models.card import require_classes
from napari_smse.models.model_files import read_card
from napari_smse.scoring import is_trained_scale
from napari_smse.scoring.request import require_tiles


class Target(StrEnum):
    """What a model is written for."""

    WSINFER = "wsinfer"
    ONNX = "onnx"


def export(
    model: ModelArgument,
    out: Annotated[Path, typer.Option("--out", help="Folder to write into; of ONNX, the file.")],
    to: Annotated[
        Target,
        typer.Option(
            help="wsinfer: for QuPath and WSInfer, as TorchScript. onnx: RGB tiles in, "
            "probabilities and embeddings out."
        ),
    ] = Target.WSINFER,
    mpp: Annotated[
        float | None,
        typer.Option(help="The one scale that a model for WSInfer is for, µm/px."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a model that lies there.")
    ] = False,
) -> None:
    """Write a model for other tools; what was written is read again and compared first."""
    console = Console()
    card = read_card(model)
    require_tiles(card)
    if card.encoder is not None:
        console.warn(
            f"the export holds the weights of {card.encoder.name}, whose licence "
            f"({card.encoder.licence}) says who they may be passed on to"
        )
    if to is Target.ONNX:
        difference = _to_onnx(model, out, overwrite=overwrite)
        console.report(f"{card.label} as ONNX: {out}")
    else:
        scale = _scale(card, mpp)
        if not is_trained_scale(scale, card):
            console.warn(
                f"{card.label} was trained at {card.trained_scales} µm/px, not at {scale:g}"
            )
        difference = _to_wsinfer(model, card, out, scale, overwrite=overwrite)
        console.report(f"{card.label} for WSInfer, at {scale:g} µm/px: {out}")
    console.report(f"largest difference of a probability from ours: {difference:.1e}")


def _to_onnx(model: str, out: Path, *, overwrite: bool) -> float:
    from napari_smse.scoring.runtimes.onnx_file import export_onnx

    return export_onnx(models.load_model(model), out, overwrite=overwrite)


def _to_wsinfer(
    model: str, card: models.ModelCard, out: Path, scale: float, *, overwrite: bool
) -> float:
    from napari_smse.models.wsinfer.export import export_wsinfer

    require_classes(card)
    network = models.load_model(model).network
    return export_wsinfer(network, card, out, scale, overwrite=overwrite)


def _scale(card: models.ModelCard, mpp: float | None) -> float:
    low, high = card.mpp_range
    if mpp is None:
        # 20x, or what is next to it.
        return min(max(0.5, low), high)
    if mpp <= 0:
        raise RequestError(f"{mpp:g} µm/px is no scale: give one above 0, such as 0.5.")
    return mpp
