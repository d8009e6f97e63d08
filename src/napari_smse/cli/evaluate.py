"""`napari-smse evaluate`: what a model is worth on labelled images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress as ProgressBar

from napari_smse import models
from napari_smse.cli.console import (
    Speaker,
    check_folder,
    magnification_table,
    metric_table,
    read_data,
    scale_line,
)
from napari_smse.scoring import choose_device

if TYPE_CHECKING:
    from napari_smse.datasets.labelled_set import LabelledSet
    from napari_smse.evaluation.evaluate import Evaluation
    from napari_smse.evaluation.scale_curve import ScalePoint
    from napari_smse.models import Model


def evaluate(
    model: Annotated[str, typer.Argument(help="'bundled' or the path of a model.")],
    data: Annotated[Path, typer.Argument(help="Labelled images: a folder or a list of sources.")],
    mpp: Annotated[float | None, typer.Option(help="um/px of images that state none.")] = None,
    report: Annotated[Path | None, typer.Option(help="Also write an HTML report here.")] = None,
    scale_curve: Annotated[
        bool, typer.Option("--scale-curve", help="Also measure at each um/px apart (slow).")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Measure a model on labelled images: AUC, accuracy, patient recognition rate.

    Images of cases that the model was trained on are left out, as far as its card names them.
    Intervals are 95 %, from drawing whole cases with replacement.
    """
    speaker = Speaker(quiet=quiet, as_json=as_json)
    if report is not None:
        check_folder(report, "the report")
    chosen = choose_device(device)
    loaded = models.load_model(model)
    images = read_data(data, mpp, speaker)
    speaker.say(f"Model {loaded.card.name} on {chosen.label}. Research use only.")
    evaluation = _run(loaded, images, chosen.torch_name, speaker)
    curve = _curve(loaded, evaluation, chosen.torch_name, speaker) if scale_curve else []
    _tell(evaluation, loaded, curve, speaker)
    if report is not None:
        _write_report(report, evaluation, loaded, curve, data)
        speaker.say(f"report: {report}")


def _run(model: Model, images: LabelledSet, device: str, speaker: Speaker) -> Evaluation:
    from napari_smse.evaluation.evaluate import evaluate as evaluated

    result = None
    with ProgressBar(console=speaker.console, disable=speaker.quiet, transient=True) as bar:
        task = bar.add_task("images", total=None)
        for progress in evaluated(model, images, device=device):
            bar.update(task, completed=progress.done, total=progress.total)
            result = progress.evaluation
    assert result is not None  # the last progress brings it
    return result


def _curve(model: Model, evaluation: Evaluation, device: str, speaker: Speaker) -> list[ScalePoint]:
    from napari_smse.evaluation.evaluate import model_scale_curve

    curve = []
    for point in model_scale_curve(model, evaluation.labelled_set, device=device):
        speaker.say(scale_line(point))
        curve.append(point)
    return curve


def _tell(
    evaluation: Evaluation, model: Model, curve: Sequence[ScalePoint], speaker: Speaker
) -> None:
    from napari_smse.evaluation.evaluate import evaluation_json

    for warning in evaluation.warnings:
        speaker.warn(warning)
    values = evaluation_json(evaluation, model.card)
    if speaker.as_json:
        speaker.print_json(values | {"scale_curve": [asdict(point) for point in curve]})
        return
    summary = evaluation.summary
    speaker.say(f"{summary.images} images of {summary.cases} cases")
    speaker.show(metric_table(summary))
    if values["auc_reason"]:
        speaker.say(f"no AUC: {values['auc_reason']}")
    if len(summary.magnifications) > 1:
        speaker.show(magnification_table(summary))


def _write_report(
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
            "trained at": f"{card.mpp_range[0]:g}-{card.mpp_range[1]:g} um/px",
            "data": str(data),
            "intended use": card.intended_use,
        },
        evaluation.warnings,
        scale_curve=curve,
    )
    write_report(path, content)
