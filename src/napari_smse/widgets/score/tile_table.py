"""The scored tiles as a table; click one to fly to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from napari_smse.scoring import ScaleScores, objective_power, shown_class
from napari_smse.slides import Region

_CALL = "Call"
_DECIMALS = 3
_ROW_PX = 22
_MEANING = (
    "Objective power that the tile was scored at",
    "Left edge of the tile, level-0 px",
    "Top edge of the tile, level-0 px",
    "Share of the tile that is tissue, 0 to 1",
)
_CALL_MEANING = (
    "What is called of the tile: a class; indeterminate, where the model's card calls nothing; or "
    "out of distribution"
)


@dataclass(frozen=True)
class TileRow:
    """A tile of the table: its scale in um/px and its place on the slide."""

    mpp: float
    region: Region


class TileTableModel(QAbstractTableModel):
    """Scored tiles of all scales, kept as columns of numbers so that sorting is quick."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.headers: list[str] = []
        self._columns: list[NDArray[Any]] = []
        self._sizes: NDArray[np.int32] = np.empty((0, 2), dtype=np.int32)
        self._mpps: NDArray[np.float64] = np.empty(0)
        self._order: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._sorted_by: tuple[int, Qt.SortOrder] | None = None

    def set_scores(
        self,
        scales: Sequence[ScaleScores],
        classes: Sequence[str],
        calls: Sequence[NDArray[np.str_]],
    ) -> None:
        """Show these scores and calls; tiles that were not scored yet are left out.

        Without classes, show where the tiles are.
        """
        self.beginResetModel()
        scored = [np.isfinite(s.probability[:, 0]) for s in scales]
        self.headers = ["Scale", "x", "y", "Tissue", *classes, *([_CALL] if classes else [])]
        columns = _columns if classes else _places
        per_scale = [columns(*parts) for parts in zip(scales, scored, calls, strict=True)]
        self._columns = [np.concatenate(parts) for parts in zip(*per_scale, strict=True)]
        count = [int(keep.sum()) for keep in scored]
        sizes = [np.column_stack([s.tiles.width, s.tiles.height]) for s in scales]
        self._sizes = np.concatenate([s[keep] for s, keep in zip(sizes, scored, strict=True)])
        self._mpps = np.repeat([s.mpp for s in scales], count)
        self._order = np.arange(sum(count))
        if self._sorted_by is not None:
            self._sort(*self._sorted_by)
        self.endResetModel()

    def clear(self) -> None:
        """Show nothing."""
        self.beginResetModel()
        self._columns, self._order = [], np.empty(0, dtype=np.int64)
        self.endResetModel()

    def tile(self, row: int) -> TileRow:
        """The tile shown in a row."""
        number = self._order[row]
        x, y = (int(values[number]) for values in self._columns[1:3])
        width, height = (int(side) for side in self._sizes[number])
        return TileRow(float(self._mpps[number]), Region(x, y, width, height))

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Number of tiles."""
        return len(self._order)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Number of columns."""
        return len(self.headers)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text of a cell, numbers to the right."""
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        value = self._columns[index.column()][self._order[index.row()]]
        if index.column() == 0:
            return f"{value:.3g}x"
        if isinstance(value, str):
            return value
        return f"{value:d}" if index.column() < 3 else f"{value:.{_DECIMALS}f}"

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        """Names of the columns; a class stands for its probability."""
        if orientation != Qt.Orientation.Horizontal or section >= len(self.headers):
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self.headers[section]
        if role == Qt.ItemDataRole.ToolTipRole:
            classes = (f"Probability of {name}" for name in self.headers[len(_MEANING) : -1])
            return (*_MEANING, *classes, _CALL_MEANING)[section]
        if role == Qt.ItemDataRole.TextAlignmentRole:  # the arrow of sorting takes the right
            return int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        return None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column."""
        self._sorted_by = (column, order)
        self.layoutAboutToBeChanged.emit()
        self._sort(column, order)
        self.layoutChanged.emit()

    def _sort(self, column: int, order: Qt.SortOrder) -> None:
        if 0 <= column < len(self._columns):
            self._order = np.argsort(self._columns[column], kind="stable")
            if order == Qt.SortOrder.DescendingOrder:
                self._order = self._order[::-1]


def _columns(
    scores: ScaleScores, keep: NDArray[np.bool_], calls: NDArray[np.str_]
) -> list[NDArray[Any]]:
    probabilities = [column[keep] for column in scores.probability.T]
    return [*_places(scores, keep, calls), *probabilities, calls[keep]]


def _places(
    scores: ScaleScores, keep: NDArray[np.bool_], _calls: NDArray[np.str_]
) -> list[NDArray[Any]]:
    tiles = scores.tiles
    power = np.full(int(keep.sum()), objective_power(scores.mpp))
    return [power, tiles.x[keep], tiles.y[keep], tiles.tissue[keep]]


class TileTableView(QTableView):
    """A sortable table of tiles."""

    tile_chosen = Signal(object)
    """The `TileRow` that was clicked, or reached with the keys."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tiles = TileTableModel(self)
        self.setModel(self.tiles)
        self.setSortingEnabled(True)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(_ROW_PX)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        # Width by what is in view; thousands of tiles would take too long.
        self.horizontalHeader().setResizeContentsPrecision(0)
        self.setToolTip("Click a tile to fly to it; click a heading to sort.")
        self.selectionModel().currentRowChanged.connect(self._choose)

    def show_scores(
        self,
        scales: Sequence[ScaleScores],
        classes: Sequence[str],
        calls: Sequence[NDArray[np.str_]],
    ) -> None:
        """Show these scores, the most likely of the class shown first on top.

        What the user sorted by stays, but for a class that another model may not have.

        Parameters
        ----------
        scales
            Tiles and probabilities of each scale.
        classes
            Names of the classes; none if the model knows none.
        calls
            What is called of the tiles of each scale, ``(n,)``.
        """
        before, places = self.tiles.headers, len(_MEANING)
        by_place = bool(before) and self.horizontalHeader().sortIndicatorSection() < places
        self.tiles.set_scores(scales, classes, calls)
        if self.tiles.headers == before:
            return
        self._share_width()
        if classes and not by_place:
            column = places + list(classes).index(shown_class(classes))
            self.sortByColumn(column, Qt.SortOrder.DescendingOrder)

    def _share_width(self) -> None:
        """Give each column what it needs, and the rest to the last."""
        last = len(self.tiles.headers) - 1
        for column in range(last + 1):
            mode = QHeaderView.ResizeMode
            fits = mode.Stretch if column == last else mode.ResizeToContents
            self.horizontalHeader().setSectionResizeMode(column, fits)

    def _choose(self, current: QModelIndex, _previous: QModelIndex) -> None:
        if current.isValid():
            self.tile_chosen.emit(self.tiles.tile(current.row()))
