"""`napari-smse export`: a model, or the results of a slide, for other tools."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from napari_smse import models
from napari_smse.cli.console import Console
from napari_smse.errors import RequestError, SmseError
from napari_smse.models.card import require_classes
from napari_smse.models.model_files import read_card
from napari_smse.results import RECORD_NAME
from napari_smse.results.exchange import TARGETS, export_results
from napari_smse.scoring import is_trained_scale
from napari_smse.scoring.request import require_tiles

MODEL_TARGETS: Final = ("wsinfer", "onnx")


def export(
    what: Annotated[
        str,
        typer.Argument(
            metavar="MODEL_OR_RESULTS",
            help="A model: 'bundled', a path, or an encoder's name. Or results: a slide's folder.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", help="Folder to write into; of ONNX, the file.", show_default=False),
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="TARGET",
            help="Of a model: wsinfer, for QuPath and WSInfer as TorchScript; onnx, RGB tiles in, "
            f"probabilities and embeddings out. Of results: {', '.join(TARGETS)}.",
        ),
    ] = MODEL_TARGETS[0],
    mpp: Annotated[
        float | None,
        typer.Option(help="The one scale that a model for WSInfer is for, µm/px."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an export that lies there.")
    ] = False,
) -> None:
    """Write a model, or the results of a slide, for other tools.

    A model that was written is read again and compared first.
    """
    _require_fit(what, to)
    if to in MODEL_TARGETS:
        _export_model(what, out, to, mpp, overwrite=overwrite)
        return
    written = export_results(Path(what), to, out, overwrite=overwrite)
    _tell_written(f"{what} for {TARGETS[to].opens_in}", out, written)


def _tell_written(what: str, out: Path, written: Sequence[Path]) -> None:
    """Name one file in a line, several below the folder that they are in."""
    console = Console()
    if len(written) == 1:
        console.report(f"{what}: {written[0]}")
        return
    console.report(f"{what}, in {out}:")
    for path in written:
        console.report(f"  {path.relative_to(out)}")


def _require_fit(what: str, to: str) -> None:
    """Refuse an unknown target, results for a model's target, and a model for one of results."""
    results, models_to = ", ".join(TARGETS), ", ".join(MODEL_TARGETS)
    if to not in (*MODEL_TARGETS, *TARGETS):
        raise RequestError(
            f"There is no export to {to!r}: choose {models_to} for a model, or {results} for "
            "results."
        )
    is_results = (Path(what) / RECORD_NAME).is_file()
    if is_results and to in MODEL_TARGETS:
        raise RequestError(
            f"{what} holds the results of a slide, and --to {to} is for models: choose {results}."
        )
    if not is_results and to in TARGETS and _is_model(what):
        raise RequestError(
            f"{what} is a model, and --to {to} is for results: give a folder that napari-smse "
            f"score wrote, or choose {models_to}."
        )


def _is_model(what: str) -> bool:
    try:
        read_card(what)
    except SmseError:
        return False
    return True


def _export_model(model: str, out: Path, to: str, mpp: float | None, *, overwrite: bool) -> None:
    console = Console()
    card = read_card(model)
    require_tiles(card)
    if card.encoder is not None:
        console.warn(
            f"the export holds the weights of {card.encoder.name}, whose licence "
            f"({card.encoder.licence}) says who they may be passed on to"
        )
    if to == "onnx":
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
