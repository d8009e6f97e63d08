"""`napari-smse crossval`: what a recipe is worth on cases it did not see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

from napari_smse.atomic_write import atomic_path
from napari_smse.cli.console import (
    Speaker,
    json_text,
    magnification_table,
    metric_table,
    read_data,
    scale_line,
)
from napari_smse.errors import DataError, TrainingError
from napari_smse.scoring import choose_device

if TYPE_CHECKING:
    from napari_smse.datasets.labelled_set import LabelledSet
    from napari_smse.datasets.splits import Fold
    from napari_smse.evaluation.cross_validation import FoldDone, Learner
    from napari_smse.evaluation.loss_comparison import LossComparisonRow
    from napari_smse.evaluation.scale_curve import ScalePoint
    from napari_smse.metrics.predictions import HeldOutPredictions
    from napari_smse.metrics.summary import Summary

GROUPED = "grouped"
_EPOCH_NOTE = (
    "the epoch was chosen on the test images, as the published 88.64 was: too good, for "
    "comparison with that figure only"
)


@dataclass
class _Run:
    """One call of `crossval`: what was asked for, and what came out."""

    data: Path
    images: LabelledSet
    folds: int | Sequence[Fold]
    repeats: int
    validation_share: float
    seed: int
    settings: dict[str, str]
    notices: tuple[str, ...] = ()
    held_out: HeldOutPredictions | None = None
    selected_on_test: HeldOutPredictions | None = None
    controls: list[LossComparisonRow] = field(default_factory=list)
    scale_curve: list[ScalePoint] = field(default_factory=list)

    @property
    def options(self) -> dict[str, Any]:
        """What the protocols take."""
        return {
            "repeats": self.repeats,
            "validation_fraction": self.validation_share,
            "seed": self.seed,
        }


def crossval(
    data: Annotated[
        Path,
        typer.Argument(help="Labelled images: a folder or a list of sources.", show_default=False),
    ],
    folds: Annotated[
        str, typer.Option(help="'grouped' (dealt by case), or a file or folder of fold lists.")
    ] = GROUPED,
    folds_count: Annotated[int, typer.Option(help="How many grouped folds.")] = 5,
    repeats: Annotated[int, typer.Option(help="Deal grouped folds anew so many times.")] = 1,
    runs: Annotated[
        int, typer.Option(help="Train each fold so many times, with another seed each.")
    ] = 1,
    config: Annotated[
        str, typer.Option(help="default, paper, frozen (control), or a recipe as JSON.")
    ] = "default",
    controls: Annotated[
        bool, typer.Option("--controls", help="Compare all losses on the same folds.")
    ] = False,
    scale_curve: Annotated[
        bool, typer.Option("--scale-curve", help="Also measure at each um/px apart (slow).")
    ] = False,
    drop_split_cases: Annotated[
        bool,
        typer.Option(
            "--drop-split-cases",
            help="Where a list splits a case, leave it out of that fold's training.",
        ),
    ] = False,
    validation_share: Annotated[
        float, typer.Option(help="Share of training cases that weights are chosen by.")
    ] = 0.2,
    mpp: Annotated[float | None, typer.Option(help="um/px of images that state none.")] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps (paper: epochs).")] = None,
    seed: Annotated[int, typer.Option(help="Of folds, validation cases and training.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    out: Annotated[
        Path | None, typer.Option(help="Folder for the figures, predictions and the report.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Cross-validate a recipe: no case is ever on both sides of a fold.

    Prints image accuracy and patient recognition rate (mean and standard deviation over folds),
    AUC, sensitivity and specificity with 95 % intervals from drawing whole cases.
    """
    from napari_smse.evaluation.learners import takes_tiles

    speaker = Speaker(quiet=quiet, as_json=as_json)
    _check(repeats, runs, folds)
    if scale_curve and (controls or not takes_tiles(config)):
        raise TrainingError(
            "--scale-curve needs one recipe whose network takes tiles at a scale: leave out "
            f"--controls, and give another --config than {config} if that is the paper's."
        )
    chosen = choose_device(device)
    images = read_data(data, mpp, speaker)
    images.require_trainable()
    divided, notices = _divide(images, folds, folds_count, runs, seed, drop_split_cases)
    for notice in notices:
        speaker.say(notice)
    settings = {
        "data": str(data),
        "recipe": config,
        "folds": f"{folds_count}, grouped by case" if folds == GROUPED else folds,
        "repeats": str(max(repeats, runs)) + (", same folds" if runs > 1 else ""),
        "validation share": f"{validation_share:g} of the training cases",
        "seed": str(seed),
        "device": chosen.label,
    }
    run = _Run(data, images, divided, max(repeats, runs), validation_share, seed, settings, notices)
    speaker.say(f"Cross-validating {config} on {chosen.label}. Research use only.")
    try:
        done = _train_all(run, config, controls, steps, chosen.torch_name, speaker)
        if scale_curve:
            _measure_scales(run, done, speaker)
    except KeyboardInterrupt as stop:
        speaker.errors.print("Stopped. A cross-validation is not kept until it is whole.")
        raise typer.Exit(130) from stop
    _tell(run, out, speaker)


def _check(repeats: int, runs: int, folds: str) -> None:
    if min(repeats, runs) < 1:
        raise TrainingError("--repeats and --runs count from 1: give a whole number above 0.")
    if repeats > 1 and (runs > 1 or folds != GROUPED):
        raise TrainingError(
            "--repeats deals grouped folds anew and --runs trains the same folds again: with "
            "given folds use --runs, and give only one of both."
        )


def _divide(
    images: LabelledSet, folds: str, count: int, runs: int, seed: int, drop: bool
) -> tuple[int | Sequence[Fold], tuple[str, ...]]:
    if folds == GROUPED:
        from napari_smse.datasets.splits import grouped_folds

        divided = grouped_folds(images.images, count, seed)
        return (divided if runs > 1 else count), ()
    from napari_smse.datasets.published_folds import read_folds

    if not Path(folds).exists():
        raise DataError(f"{folds} does not exist: give 'grouped', or a file or folder of lists.")
    found = read_folds(Path(folds), images, drop_split_cases=drop)
    return found.folds, found.notices


def _train_all(
    run: _Run, config: str, controls: bool, steps: int | None, device: str, speaker: Speaker
) -> list[FoldDone]:
    """Train and predict all folds; return those of the first repeat."""
    from napari_smse.evaluation.learners import FeatureCaches, create_learner

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False))
    tail = (MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.fields[doing]}"))
    with ProgressBar(
        *columns, *tail, console=speaker.console, disable=speaker.quiet, transient=True
    ) as bar:
        task = bar.add_task("folds", total=None, doing="")

        def doing(text: str) -> None:
            bar.update(task, doing=text)

        tables: FeatureCaches = {}

        def make(**losses: str) -> Learner:
            return create_learner(
                config,
                device=device,
                steps=steps,
                on_message=doing,
                feature_caches=tables,
                **losses,
            )

        if not controls:
            return _run_folds(run, make(), bar, task)
        _run_controls(run, make, bar, task)
        return []


def _run_folds(run: _Run, learner: Learner, bar: ProgressBar, task: Any) -> list[FoldDone]:
    from napari_smse.evaluation.cross_validation import cross_validation
    from napari_smse.metrics.predictions import join

    honest, selected_on_test, first = [], [], []
    for done in cross_validation(learner, run.images, run.folds, **run.options):
        honest.append(done.held_out)
        if done.selected_on_test is not None:
            selected_on_test.append(done.selected_on_test)
        if done.done * run.repeats <= done.total:
            first.append(done)
        bar.update(task, completed=done.done, total=done.total)
    run.held_out = join(honest)
    run.selected_on_test = join(selected_on_test) if selected_on_test else None
    return first


def _measure_scales(run: _Run, folds: Sequence[FoldDone], speaker: Speaker) -> None:
    from napari_smse.evaluation.scale_curve import held_out_scale_curve

    for point in held_out_scale_curve(folds, run.images):
        speaker.say(scale_line(point))
        run.scale_curve.append(point)


def _run_controls(run: _Run, make: Any, bar: ProgressBar, task: Any) -> None:
    """Keep the predictions of the full method (triplet, reinforced focal) for the figures."""
    from napari_smse.evaluation.loss_comparison import compare_losses, loss_comparison_table

    found = {}
    running = compare_losses(
        lambda similarity, classification: make(
            similarity=similarity, classification=classification
        ),
        run.images,
        run.folds,
        **run.options,
    )
    for progress in running:
        bar.update(task, completed=progress.done, total=progress.total)
        if progress.held_out is not None:
            found[progress.losses] = progress.held_out
    run.controls = loss_comparison_table(found, run.images)
    run.held_out = found["triplet", "reinforced focal"]


def _tell(run: _Run, out: Path | None, speaker: Speaker) -> None:
    from napari_smse.metrics.summary import summarise

    assert run.held_out is not None  # set by the training
    summary = summarise(run.held_out, run.images)
    selected_on_test = (
        None if run.selected_on_test is None else summarise(run.selected_on_test, run.images)
    )
    values = _values(run, summary, selected_on_test)
    if speaker.as_json:
        speaker.print_json(values)
    else:
        _show(run, summary, selected_on_test, speaker)
    if out is not None:
        _write(out, run, values, summary, selected_on_test)
        speaker.say(f"figures, predictions and report: {out}")


def _show(run: _Run, summary: Summary, selected_on_test: Summary | None, speaker: Speaker) -> None:
    if run.controls:
        speaker.show(_control_table(run.controls))
        speaker.say("below: triplet with reinforced focal")
    if selected_on_test is not None:
        speaker.say("weights chosen on validation cases:")
    speaker.show(magnification_table(summary))
    speaker.show(metric_table(summary))
    if selected_on_test is not None:
        speaker.say(f"optimistic: {_EPOCH_NOTE}:")
        speaker.show(magnification_table(selected_on_test))


def _control_table(rows: Sequence[LossComparisonRow]) -> Table:
    from napari_smse.evaluation.report.tables import shown

    table = Table(box=None, pad_edge=False)
    for head in ("similarity", "classification", "AUC", "difference", "patient rate, %"):
        table.add_column(head)
    for row in rows:
        table.add_row(
            row.similarity,
            row.classification,
            shown(row.figures["auc"]),
            shown(row.differences["auc"], form="+.3f") if row.differences else "reference",
            shown(row.figures["patient_recognition_rate"], 100, ".1f"),
        )
    return table


def _values(run: _Run, summary: Summary, selected_on_test: Summary | None) -> dict[str, Any]:
    values: dict[str, Any] = {
        "settings": run.settings,
        "classes": list(run.images.classes),
        "notices": list(run.notices),
        "selection": "validation cases",
        **{name: one.value for name, one in summary.estimates.items()},
        "auc_low": summary.estimates["auc"].low,
        "auc_high": summary.estimates["auc"].high,
        "summary": asdict(summary),
        "skipped": [{"path": str(s.path), "reason": s.reason} for s in run.images.skipped],
        "research_use_only": True,
    }
    if selected_on_test is not None:
        values["best_test_epoch"] = {"note": _EPOCH_NOTE, "summary": asdict(selected_on_test)}
    if run.scale_curve:
        values["scale_curve"] = [asdict(point) for point in run.scale_curve]
    if run.controls:
        values["controls"] = [asdict(row) for row in run.controls]
    return values


def _write(
    out: Path, run: _Run, values: dict[str, Any], summary: Summary, selected_on_test: Summary | None
) -> None:
    from napari_smse.evaluation.report.page import ReportContent, write_report
    from napari_smse.metrics.per_case import write_predictions

    assert run.held_out is not None  # set by the training
    out.mkdir(parents=True, exist_ok=True)
    with atomic_path(out / "crossval.json") as part:
        part.write_text(json_text(values), encoding="utf-8")
    with atomic_path(out / "held_out.csv") as part:
        write_predictions(part, run.held_out, run.images)
    content = ReportContent(
        f"Cross-validation of {run.settings['recipe']} on {run.data.name}",
        "Every image is judged by a network that saw no image of its case; weights were chosen "
        "on further cases that were held out of training.",
        run.held_out,
        run.images,
        summary,
        run.settings,
        run.notices,
        loss_comparison=run.controls,
        scale_curve=run.scale_curve,
        selected_on_test=selected_on_test,
    )
    write_report(out / "report.html", content)
