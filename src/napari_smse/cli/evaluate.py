"""`napari-smse evaluate`: how good a model is on labelled images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_smse import models
from napari_smse.atomic_write import require_folder
from napari_smse.cli.console import Console
from napari_smse.cli.files import read_images
from napari_smse.cli.options import (
    AsJson,
    Device,
    Images,
    ModelArgument,
    Quiet,
    ScaleCurve,
    SourceMpp,
)
from napari_smse.cli.progress import TaskProgress
from napari_smse.cli.tables import describe_scale_point, magnification_table, metric_table
from napari_smse.metrics.estimate import counted
from napari_smse.progress import run_task
from napari_smse.scoring import choose_device

if TYPE_CHECKING:
    from napari_smse.datasets.labelled_set import LabelledSet
    from napari_smse.evaluation.evaluate import Evaluation
    from napari_smse.evaluation.scale_curve import ScalePoint
    from napari_smse.models import Model


def evaluate(
    model: ModelArgument,
    data: Images,
    source_mpp: SourceMpp = None,
    report: Annotated[
        Path | None, typer.Option(help="Path of an HTML report to write, too.")
    ] = None,
    scale_curve: ScaleCurve = False,
    device: Device = "auto",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Measure a model on labelled images: AUC, accuracy, patient recognition rate.

    Images of cases that the model was trained on are left out, as far as its card names them.
    Intervals are 95 %, from drawing whole cases with replacement.
    """
    console = Console(quiet=quiet, as_json=as_json)
    if report is not None:
        require_folder(report, "the report")
    chosen = choose_device(device)
    loaded = models.load_model(model)
    images = read_images(data, source_mpp, console)
    console.report(f"Model {loaded.card.name} on {chosen.label}. Research use only.")
    evaluation = _evaluate(loaded, images, chosen.torch_name, console)
    curve = _curve(loaded, evaluation, chosen.torch_name, console) if scale_curve else []
    _report(evaluation, loaded, curve, console)
    if report is not None:
        _write_page(report, evaluation, loaded, curve, data)
        console.report(f"report: {report}")


def _evaluate(model: Model, images: LabelledSet, device: str, console: Console) -> Evaluation:
    from napari_smse.evaluation.evaluate import evaluate as evaluated

    with TaskProgress(console, "images") as bar:
        return run_task(evaluated(model, images, device=device), bar.show)


def _curve(model: Model, evaluation: Evaluation, device: str, console: Console) -> list[ScalePoint]:
    from napari_smse.evaluation.evaluate import model_scale_curve

    curve = []
    for point in model_scale_curve(model, evaluation.labelled_set, device=device):
        console.report(describe_scale_point(point))
        curve.append(point)
    return curve


def _report(
    evaluation: Evaluation, model: Model, curve: Sequence[ScalePoint], console: Console
) -> None:
    from napari_smse.evaluation.evaluate import evaluation_json

    for warning in evaluation.warnings:
        console.warn(warning)
    values = evaluation_json(evaluation, model.card)
    if console.as_json:
        console.print_json(values | {"scale_curve": [asdict(point) for point in curve]})
        return
    summary = evaluation.summary
    console.report(f"{counted(summary.images, 'images')} of {counted(summary.cases, 'cases')}")
    console.print_table(metric_table(summary))
    if values["auc_reason"]:
        console.report(f"no AUC: {values['auc_reason']}")
    if len(summary.magnifications) > 1:
        console.print_table(magnification_table(summary))


def _write_page(
    path: Path, evaluation: Evaluation, model: Model, curve: Sequence[ScalePoint], data: Path
) -> None:
    from napari_smse.evaluation.report.page import ReportContent, write_report

    card = model.card
    content = ReportContent(
        f"Model {card.name} on {data.name}",
        "Each image is judged as a whole: the mean over its tiles.",
        evaluation.held_out,
        evaluation.labelled_set,
        evaluation.summary,
        {
            "model": f"{card.name} {card.version}",
            "weights (sha256)": card.weights_sha256,
            "trained on": "; ".join(source.name for source in card.training) or "not stated",
            "trained at": f"{card.trained_scales} µm/px",
            "data": str(data),
            "intended use": card.intended_use,
        },
        evaluation.warnings,
        scale_curve=curve,
    )
    write_report(path, content)
