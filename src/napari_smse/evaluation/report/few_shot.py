"""A comparison of encoders, as a table and as a page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_smse.atomic_write import write_atomic
from napari_smse.evaluation.few_shot import DIVISIONS, EncoderComparison
from napari_smse.evaluation.report.tables import shown
from napari_smse.html_page import html_page, table

HEAD = ("labels", "model", "AUC (middle 95 %)", "difference from the first")
METHOD = (
    "Logistic regression on the features of so many labelled images of half of the cases, judged "
    f"on the other cases; mean over those of {DIVISIONS} divisions of the cases that have images "
    "of each class on both sides, and the range of the middle 95 % of them. Differences are in the "
    "same divisions."
)


def comparison_rows(comparison: EncoderComparison) -> Iterator[tuple[str, str, str, str]]:
    """Yield a line for each number of labels and model, as words."""
    for row in comparison.rows:
        difference = "" if row.difference is None else shown(row.difference, form="+.3f")
        yield str(row.labels), row.model, shown(row.auc), difference


def comparison_notes(comparison: EncoderComparison) -> Iterator[str]:
    """Yield what the images are, and which were left out."""
    data = comparison.labelled_set
    yield f"{len(data.images)} images of {len(data.cases)} cases."
    if comparison.left_out:
        yield (f"{comparison.left_out} images are left out: a model has learnt from their cases.")


def comparison_json(comparison: EncoderComparison) -> dict[str, Any]:
    """Return the figures as JSON values."""
    return {
        "images": len(comparison.labelled_set.images),
        "cases": len(comparison.labelled_set.cases),
        "left_out": comparison.left_out,
        "rows": [
            {
                "model": row.model,
                "labels": row.labels,
                "auc": row.auc.value,
                "low": row.auc.low,
                "high": row.auc.high,
                "difference": None if row.difference is None else row.difference.value,
                "difference_low": None if row.difference is None else row.difference.low,
                "difference_high": None if row.difference is None else row.difference.high,
                "reason": row.auc.reason,
            }
            for row in comparison.rows
        ],
    }


def write_comparison(path: Path, title: str, comparison: EncoderComparison) -> None:
    """Write the page.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    notes = " ".join(comparison_notes(comparison))
    rows = [("", cells) for cells in comparison_rows(comparison)]
    sections = [f"<p>{METHOD}</p><p>{notes}</p>", table(HEAD, rows, numbers=(0, 2, 3))]
    write_atomic(path, html_page(title, sections).encode())
