"""What `napari-smse crossval` prints and writes of a cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_smse.atomic_write import atomic_path
from napari_smse.cli.console import Console, json_text
from napari_smse.cli.files import skipped_values
from napari_smse.cli.tables import (
    loss_table,
    magnification_table,
    metric_table,
    plain_table,
)

if TYPE_CHECKING:
    from napari_smse.datasets.labelled_set import LabelledSet
    from napari_smse.datasets.splits import Fold
    from napari_smse.evaluation.loss_comparison import LossComparisonRow
    from napari_smse.evaluation.scale_curve import ScalePoint
    from napari_smse.metrics.predictions import HeldOutPredictions
    from napari_smse.metrics.summary import Summary

_EPOCH_NOTE = (
    "the epoch was chosen on the test images, as the published 88.64 was: too good, for "
    "comparison with that figure only"
)


@dataclass
class CrossValidationRun:
    """One cross-validation: its settings, and what came out.

    Attributes
    ----------
    data, images
        Where the images were read from, and the images.
    folds
        The folds, or how many to deal.
    repeats
        How often each fold, or each deal of the folds, is trained.
    validation_fraction
        Fraction of the training cases that weights are chosen on.
    seed
        Of folds, validation cases and training.
    settings
        For the reader of the results.
    notices
        What the reader must know of the folds.
    held_out
        Predictions of images whose cases were not trained on; None until they are there.
    selected_on_test
        Those of the weights that are best on the test images themselves; None without.
    loss_comparison
        Rows of the table of losses, or nothing.
    scale_curve
        The AUC at several scales, or nothing.
    """

    data: Path
    images: LabelledSet
    folds: int | Sequence[Fold]
    repeats: int
    validation_fraction: float
    seed: int
    settings: dict[str, str]
    notices: tuple[str, ...] = ()
    held_out: HeldOutPredictions | None = None
    selected_on_test: HeldOutPredictions | None = None
    loss_comparison: list[LossComparisonRow] = field(default_factory=list)
    scale_curve: list[ScalePoint] = field(default_factory=list)

    @property
    def protocol(self) -> dict[str, Any]:
        """What the protocols of the evaluation take."""
        return {
            "repeats": self.repeats,
            "validation_fraction": self.validation_fraction,
            "seed": self.seed,
        }


def report_run(run: CrossValidationRun, out: Path | None, console: Console) -> None:
    """Print the figures of a run that is done, and write them.

    Parameters
    ----------
    run
        With its predictions.
    out
        Folder for the figures, the predictions and the report; None for nowhere.
    console
        Where to print.
    """
    from napari_smse.metrics.summary import summarise

    assert run.held_out is not None  # set by the training
    summary = summarise(run.held_out, run.images)
    selected_on_test = (
        None if run.selected_on_test is None else summarise(run.selected_on_test, run.images)
    )
    values = _values(run, summary, selected_on_test)
    if console.as_json:
        console.print_json(values)
    else:
        _print_tables(run, summary, selected_on_test, console)
    if out is not None:
        _write(out, run, values, summary, selected_on_test)
        console.report(f"figures, predictions and report: {out}")


def _print_tables(
    run: CrossValidationRun, summary: Summary, selected_on_test: Summary | None, console: Console
) -> None:
    if run.loss_comparison:
        _print_losses(run.loss_comparison, console)
        console.report("below: triplet with reinforced focal")
    if selected_on_test is not None:
        console.report("weights chosen on validation cases:")
    console.print_table(magnification_table(summary))
    console.print_table(metric_table(summary))
    if summary.estimates["auc"].reason:
        console.report(f"no AUC: {summary.estimates['auc'].reason}")
    if selected_on_test is not None:
        console.report(f"optimistic: {_EPOCH_NOTE}:")
        console.print_table(magnification_table(selected_on_test))


def _print_losses(rows: Sequence[LossComparisonRow], console: Console) -> None:
    from napari_smse.evaluation.report.tables import patient_rates, published_rates

    console.print_table(loss_table(rows))
    console.report("patient recognition rate, %, mean ± standard deviation over folds:")
    console.print_table(plain_table(patient_rates(rows)))
    selected = patient_rates(rows, selected_on_test=True)
    if not selected:
        return
    console.report(f"the same, optimistic: {_EPOCH_NOTE}:")
    console.print_table(plain_table(selected))
    console.report("published (arXiv 2107.01063 and its authors' logs), chosen so, too:")
    console.print_table(plain_table(published_rates(rows)))


def _values(
    run: CrossValidationRun, summary: Summary, selected_on_test: Summary | None
) -> dict[str, Any]:
    """Return what crossval.json holds; its keys are a format, and do not follow our names."""
    values: dict[str, Any] = {
        "settings": run.settings,
        "classes": list(run.images.classes),
        "notices": list(run.notices),
        "selection": "validation cases",
        **{name: figure.value for name, figure in summary.estimates.items()},
        "auc_low": summary.estimates["auc"].low,
        "auc_high": summary.estimates["auc"].high,
        "summary": asdict(summary),
        "skipped": skipped_values(run.images),
        "research_use_only": True,
    }
    if selected_on_test is not None:
        values["best_test_epoch"] = {"note": _EPOCH_NOTE, "summary": asdict(selected_on_test)}
    if run.scale_curve:
        values["scale_curve"] = [asdict(point) for point in run.scale_curve]
    if run.loss_comparison:
        values["controls"] = [asdict(row) for row in run.loss_comparison]
    return values


def _write(
    out: Path,
    run: CrossValidationRun,
    values: dict[str, Any],
    summary: Summary,
    selected_on_test: Summary | None,
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
        loss_comparison=run.loss_comparison,
        scale_curve=run.scale_curve,
        selected_on_test=selected_on_test,
    )
    write_report(out / "report.html", content)
