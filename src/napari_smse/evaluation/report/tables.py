"""Tables of a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from napari_smse.evaluation.loss_comparison import LossComparisonRow
from napari_smse.evaluation.published_results import PUBLISHED
from napari_smse.html_page import table
from napari_smse.metrics.estimate import Estimate
from napari_smse.metrics.per_case import CaseResult
from napari_smse.metrics.summary import ALL, Spread, Summary

_NONE: Final = "-"
_TOO_FEW: Final = "too few"
_WORDS: Final = {
    "auc": (
        "AUC",
        "Of one {positive} and one other image, how often the {positive} one gets the higher "
        "probability; 0.5 is chance.",
    ),
    "auc_within_stratum": (
        "AUC among like images",
        "The same, comparing only images of one source and magnification.",
    ),
    "accuracy": ("Images called right", "Share of all images."),
    "patient_recognition_rate": (
        "Patient recognition rate",
        "Share of a case's images called right, averaged over cases, so that each counts alike.",
    ),
    "balanced_accuracy": ("Balanced accuracy", "Share called right, averaged over the classes."),
    "sensitivity": ("Sensitivity", "Share of the {positive} images called {positive}."),
    "specificity": ("Specificity", "Share of the other images not called {positive}."),
    "brier": ("Brier score", "Squared error of the probabilities; 0 is best."),
    "ece": (
        "Calibration error",
        "How far the probabilities lie from what is observed, on average; 0 is best.",
    ),
}


def shown(estimate: Estimate, scale: float = 1, form: str = ".3f") -> str:
    """Return ``0.831 (0.749 to 0.911)``, or why not in short; `form` as in a format string."""
    if estimate.value is None:
        return _TOO_FEW if estimate.reason else _NONE
    value = format(estimate.value * scale, form)
    if estimate.low is None or estimate.high is None:
        return value
    return (
        f"{value} ({format(estimate.low * scale, form)} to {format(estimate.high * scale, form)})"
    )


def percent(spread: Spread) -> str:
    """Return ``88.64 ± 3.80`` per cent, or a dash."""
    if spread.mean is None:
        return _NONE
    mean = f"{100 * spread.mean:.2f}"
    return mean if spread.std is None else f"{mean} ± {100 * spread.std:.2f}"


def metric_table(summary: Summary) -> str:
    """Return all metrics, each with its interval and what it means."""
    positive = summary.positive or "class in question"
    rows = [
        ("", (_WORDS[name][0], shown(estimate), _WORDS[name][1].format(positive=positive)))
        for name, estimate in summary.estimates.items()
        if estimate.value is not None
    ]
    return (
        "<h2>Figures</h2>"
        + table(("", "value (95 % interval)", "what it says"), rows, numbers=(1,))
        + '<p class="small">Intervals come from drawing whole cases with replacement, 1,000 times: '
        "images of one case are alike and count together.</p>"
    )


def magnification_tables(summary: Summary, title: str) -> Iterator[str]:
    """Yield the table by magnification, unless it would repeat the first one."""
    overall = summary.magnifications[-1]
    folds = overall.accuracy_by_fold.folds
    if len(summary.magnifications) == 1 and folds == 1:
        return
    head = ("", "images", "cases", "image accuracy, %", "patient recognition rate, %", "AUC")
    rows = [
        (
            "all" if row.magnification == ALL else "",
            (
                row.magnification,
                str(row.images),
                str(row.cases),
                percent(row.accuracy_by_fold),
                percent(row.patient_by_fold),
                shown(row.estimates["auc"]),
            ),
        )
        for row in summary.magnifications
    ]
    spread_note = (
        f"Percentages: mean ± standard deviation over {folds} folds. " if folds > 1 else ""
    )
    pooled = "all folds together, with its interval" if folds > 1 else "with its 95 % interval"
    note = f'<p class="small">{spread_note}AUC: {pooled}.</p>'
    yield f"<h2>{escape(title)}</h2>{table(head, rows)}{note}"


def selected_on_test_tables(summary: Summary | None) -> Iterator[str]:
    """Yield the metrics with the epoch selected on the test side, and that they are optimistic."""
    if summary is not None:
        yield from magnification_tables(summary, "Best test epoch: optimistic")
        yield (
            '<p class="notice">Here the epoch was chosen on the test images themselves, as the '
            "published table did (patient recognition rate 88.64 %). Such figures are too good; "
            "they stand here for comparison with that table only.</p>"
        )


def loss_comparison_tables(rows: Sequence[LossComparisonRow]) -> Iterator[str]:
    """Yield the table of losses, if there is one."""
    if rows:
        head = ("similarity loss", "classification loss", "AUC", "difference", "patient rate, %")
        cells = [
            (
                "",
                (
                    row.similarity,
                    row.classification,
                    shown(row.figures["auc"]),
                    shown(row.differences["auc"], form="+.3f") if row.differences else "reference",
                    shown(row.figures["patient_recognition_rate"], 100, ".1f"),
                ),
            )
            for row in rows
        ]
        yield (
            f"<h2>Controls</h2>{table(head, cells, numbers=range(2, 99))}"
            '<p class="small">Difference: of the AUC to no similarity loss with cross-entropy, '
            "same folds, same cases drawn for both.</p>"
        )
        yield from _patient_rate_tables(rows)


def patient_rates(
    rows: Sequence[LossComparisonRow], *, selected_on_test: bool = False
) -> list[tuple[str, ...]]:
    """Return the patient recognition rates of each pair of losses, the names of columns first.

    Percentages by magnification, mean and standard deviation over folds, and last the image
    accuracy of all.

    Parameters
    ----------
    rows
        Of the comparison.
    selected_on_test
        By weights that were chosen on the test images; none if there are none.
    """
    cells: list[tuple[str, ...]] = []
    for row in rows:
        found = row.selected_on_test if selected_on_test else row.magnifications
        if not found:
            return []
        if not cells:
            cells.append(_rate_columns([one.magnification for one in found]))
        rates = [percent(one.patient_by_fold) for one in found]
        accuracy = percent(found[-1].accuracy_by_fold)
        cells.append((row.similarity, row.classification, *rates, accuracy))
    return cells


def published_rates(rows: Sequence[LossComparisonRow]) -> list[tuple[str, ...]]:
    """Return what the paper's authors published, in the columns of `patient_rates`."""
    names = [one.magnification for one in rows[0].magnifications]
    cells = [
        (
            row.similarity,
            row.classification,
            *(row.by_magnification.get(name, "") for name in names),
            row.image_accuracy,
        )
        for row in PUBLISHED
    ]
    return [_rate_columns(names), *cells]


def _rate_columns(magnifications: Sequence[str]) -> tuple[str, ...]:
    return "similarity", "classification", *magnifications, "images, all"


def _patient_rate_tables(rows: Sequence[LossComparisonRow]) -> Iterator[str]:
    """Yield the patient recognition rates by both selections, and those published."""
    honest, selected = patient_rates(rows), patient_rates(rows, selected_on_test=True)
    tables = {"weights chosen on validation cases": honest} if honest else {}
    if selected:
        tables["weights chosen on the test images: optimistic"] = selected
        tables["published, chosen on the test images, too"] = published_rates(rows)
    for title, (head, *cells) in tables.items():
        yield (
            f"<h3>Patient recognition rate, %: {title}</h3>"
            f"{table(head, [('', row) for row in cells], numbers=range(2, 99))}"
        )


def case_table(cases: Sequence[CaseResult], classes: Sequence[str]) -> str:
    """Return a row for each case."""
    head = ("case", "true class", "images", "right", "right, %", *(f"mean p {c}" for c in classes))
    rows = [
        (
            "wrong" if 2 * case.right < case.images else "",
            (
                case.case,
                ", ".join(classes[label] for label in case.labels),
                str(case.images),
                str(case.right),
                f"{100 * case.right / case.images:.0f}",
                *(f"{value:.2f}" for value in case.probabilities),
            ),
        )
        for case in cases
    ]
    return f"<h2>Cases, the worst first</h2>{table(head, rows, numbers=range(2, 99))}"
