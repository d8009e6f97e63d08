"""What a fine-tuning was worth, shown: figures, confusions and ROC of what was held out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_smse.palette import PLOT_BLUE, PLOT_GREY
from napari_smse.widgets.controls.layout import let_theme_through

if TYPE_CHECKING:
    from napari_smse.finetuning.comparison import Comparison

_HEADS = ("Held out", "Before", "After", "Difference")
_BEFORE, _AFTER = PLOT_GREY, PLOT_BLUE
_PLOT_PX = 160
_MEANS = {
    "AUC": "Chance that a tile of the positive class gets a higher score than another tile.",
    "Accuracy": "Share of the held-out tiles that are called right.",
    "Balanced accuracy": "The same, averaged over the classes, so that each counts alike.",
    "Recall@1": "Share of the held-out tiles whose nearest tile is of their class.",
    "Recall@5": "Share of the held-out tiles with one of their class among the 5 nearest.",
}


class ComparisonPanel(QWidget):
    """A table of figures, a ROC plot and two confusion matrices."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table = _table(_HEADS)
        self.table.setToolTip("Figures of the tiles held out, before and after the fine-tuning.")
        self.note = QLabel()
        self.note.setWordWrap(True)
        self.roc = pg.PlotWidget(background=None)
        let_theme_through(self.roc)
        self.roc.setMenuEnabled(False)
        self.roc.setMouseEnabled(False, False)
        self.roc.hideButtons()
        self.roc.setFixedHeight(_PLOT_PX)
        self.roc.setAspectLocked(True)
        self.roc.setTitle(
            f"<span style='font-size: 9pt'>ROC: <span style='color: {_BEFORE}'>before</span>, "
            f"<span style='color: {_AFTER}'>after</span></span>"
        )
        self.before, self.after = _table(()), _table(())
        self.roc.setFixedWidth(_PLOT_PX)
        matrices = QVBoxLayout()
        for title, table in (("Before", self.before), ("After", self.after)):
            matrices.addWidget(QLabel(title))
            table.setToolTip("A row for each true class, a column for each call.")
            matrices.addWidget(table)
        matrices.addStretch()
        pictures = QHBoxLayout()
        pictures.addWidget(self.roc)
        pictures.addLayout(matrices, stretch=1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)
        layout.addWidget(self.note)
        layout.addLayout(pictures)
        layout.addStretch()

    def show_comparison(self, found: Comparison) -> None:
        """Show these figures."""
        _fill(self.table, found.rows)
        for row, (name, *_) in enumerate(found.rows):
            for column in range(self.table.columnCount()):
                self.table.item(row, column).setToolTip(_MEANS.get(name, ""))
        self.note.setText(found.note)
        self.note.setVisible(bool(found.note))
        for table, counts in zip((self.before, self.after), found.confusions, strict=True):
            table.setColumnCount(len(found.classes))
            table.setHorizontalHeaderLabels(list(found.classes))
            _fill(table, [[f"{count:,}" for count in row] for row in counts])
            table.setVerticalHeaderLabels(list(found.classes))
            _vertical(table).show()
        self.roc.clear()
        self.roc.setVisible(bool(found.curves))
        for (false, true), colour in zip(found.curves, (_BEFORE, _AFTER), strict=False):
            self.roc.plot(false, true, pen=pg.mkPen(colour, width=2))
        self.roc.setRange(xRange=(0, 1), yRange=(0, 1))


def _table(heads: Sequence[str]) -> QTableWidget:
    table = QTableWidget(0, len(heads))
    table.setHorizontalHeaderLabels(list(heads))
    table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
    table.setSelectionMode(QTableWidget.SelectionMode.NoSelection)
    table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    table.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    _vertical(table).hide()
    _vertical(table).setDefaultSectionSize(24)
    header = table.horizontalHeader()
    assert header is not None
    header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    header.setStretchLastSection(True)
    return table


def _vertical(table: QTableWidget) -> QHeaderView:
    header = table.verticalHeader()
    assert header is not None
    return header


def _fill(table: QTableWidget, rows: Sequence[Sequence[str]]) -> None:
    table.setRowCount(len(rows))
    for row, cells in enumerate(rows):
        for column, text in enumerate(cells):
            table.setItem(row, column, QTableWidgetItem(text))
    header = table.horizontalHeader()
    assert header is not None
    table.setFixedHeight(24 * len(rows) + header.sizeHint().height() + 4)
