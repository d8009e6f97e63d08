"""Figures of a model or a recipe, as tables and lines in a shell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from napari_smse.metrics.estimate import counted

if TYPE_CHECKING:
    from napari_smse.evaluation.loss_comparison import LossComparisonRow
    from napari_smse.evaluation.scale_curve import ScalePoint
    from napari_smse.metrics.summary import Summary


def metric_table(summary: Summary) -> Table:
    """Return all figures with their intervals."""
    from napari_smse.evaluation.report.tables import shown

    table = Table(box=None, pad_edge=False)
    table.add_column("figure")
    table.add_column("value (95 % interval by cases)", justify="right")
    for name, figure in summary.estimates.items():
        if figure.value is not None:
            table.add_row(name.replace("_", " "), shown(figure))
    return table


def magnification_table(summary: Summary) -> Table:
    """Return image accuracy, patient recognition rate and AUC by magnification."""
    from napari_smse.evaluation.report.tables import percent, shown

    table = Table(box=None, pad_edge=False)
    table.add_column("scale")
    for head in ("images", "cases", "accuracy, %", "patient rate, %", "AUC"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in summary.magnifications:
        table.add_row(
            row.magnification,
            str(row.images),
            str(row.cases),
            percent(row.accuracy_by_fold),
            percent(row.patient_by_fold),
            shown(row.estimates["auc"]),
        )
    return table


def loss_table(rows: Sequence[LossComparisonRow]) -> Table:
    """Return the figures of each pair of losses, and how they differ from the first."""
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


def plain_table(cells: Sequence[tuple[str, ...]]) -> Table:
    """Return rows of words as a table, the names of its columns first."""
    table = Table(box=None, pad_edge=False)
    head, *rows = cells
    for name in head:
        table.add_column(name)
    for row in rows:
        table.add_row(*row)
    return table


def describe_scale_point(point: ScalePoint) -> str:
    """Describe how images are told apart at one scale."""
    if math.isnan(point.auc):
        return f"{point.mpp:g} µm/px: no AUC ({point.reason})"
    return (
        f"{point.mpp:g} µm/px: AUC {point.auc:.3f} ({point.low:.3f} to {point.high:.3f}), "
        f"{counted(point.images, 'images')} of {counted(point.cases, 'cases')}"
    )
