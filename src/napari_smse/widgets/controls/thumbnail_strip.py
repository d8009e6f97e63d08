"""Pictures of the nearest hits, side by side; what a person says of one refines the query."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSignalBlocker, QSize, Signal
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import (
    QLabel,
    QListView,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_smse.metrics.estimate import counted
from napari_smse.widgets.controls.layout import hbox, push_button
from napari_smse.widgets.controls.thumbnails import ThumbnailReader
from napari_smse.workflows.scored_slide import PICTURE_PX, TileOnSlide

MOST_PICTURES = 60
_ROWS_SEEN = 2
_CELL = QSize(PICTURE_PX + 12, PICTURE_PX + 26)


class ThumbnailStrip(QWidget):
    """Nearest first, as far as the radius reaches."""

    tile_chosen = Signal(object)
    """The `TileOnSlide` that was clicked, or reached with the keys."""

    marked = Signal(object, bool)
    """A `TileOnSlide`, and whether more like it are wanted."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title = QLabel()
        self.title.setWordWrap(True)
        self.list = QListWidget()
        self.list.setViewMode(QListView.ViewMode.IconMode)
        self.list.setMovement(QListView.Movement.Static)
        self.list.setResizeMode(QListView.ResizeMode.Adjust)
        self.list.setIconSize(QSize(PICTURE_PX, PICTURE_PX))
        self.list.setGridSize(_CELL)
        self.list.setMinimumHeight(_ROWS_SEEN * _CELL.height() + 8)
        self.list.setToolTip("Click a picture to fly to it. Below: its distance.")
        self.more = push_button("More like this one", "Make the tile a positive example.")
        self.less = push_button("Not like this one", "Make the tile a negative example.")
        self.pictures = ThumbnailReader()
        self._tiles: list[TileOnSlide] = []
        self._distances: list[float] = []
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.title)
        layout.addWidget(self.list, stretch=1)
        layout.addLayout(hbox(self.more, self.less))
        self._flown = False
        self.list.currentRowChanged.connect(self._choose)
        self.list.itemClicked.connect(self._click)
        self.more.clicked.connect(lambda: self._mark(True))
        self.less.clicked.connect(lambda: self._mark(False))
        self.pictures.read.connect(self._show_picture)
        self._allow()

    @property
    def chosen(self) -> TileOnSlide | None:
        """The tile whose picture is chosen and seen."""
        row = self.list.currentRow()
        seen = 0 <= row < len(self._tiles) and not self._item(row).isHidden()
        return self._tiles[row] if seen else None

    @property
    def shown(self) -> int:
        """How many pictures are seen."""
        return sum(not self._item(row).isHidden() for row in range(self.list.count()))

    def show_tiles(self, tiles: Sequence[TileOnSlide], distances: Sequence[float]) -> None:
        """Show these tiles; the nearest first."""
        self._tiles, self._distances = list(tiles), list(distances)
        with QSignalBlocker(self.list):
            self.list.clear()
            for distance in self._distances:
                item = QListWidgetItem(f"{distance:.2f}")
                # Known before its picture is, or the picture would be cut to the text.
                item.setSizeHint(_CELL)
                self.list.addItem(item)
        self.list.scrollToTop()
        self._allow()
        self.pictures.ask(list(enumerate(self._tiles)))

    def show_radius(self, radius: float, others: int) -> None:
        """Show the pictures within a radius only.

        Parameters
        ----------
        radius
            Distance.
        others
            How many tiles lie within it, besides the examples.
        """
        for row, distance in enumerate(self._distances):
            self._item(row).setHidden(distance > radius)
        self.title.setText(_title(self.shown, others))
        self._allow()

    def _item(self, row: int) -> QListWidgetItem:
        item = self.list.item(row)
        assert item is not None
        return item

    def _show_picture(self, row: int, icon: QIcon) -> None:
        item = self.list.item(row)
        if item is not None:
            item.setIcon(icon)

    def _choose(self, _row: int) -> None:
        self._allow()
        self._flown = True
        self._fly()

    def _click(self, _item: QListWidgetItem) -> None:
        """Fly again to what is chosen already; a first click has flown there when it chose."""
        if not self._flown:
            self._fly()
        self._flown = False

    def _fly(self) -> None:
        tile = self.chosen
        if tile is not None:
            self.tile_chosen.emit(tile)

    def _mark(self, wanted: bool) -> None:
        tile = self.chosen
        if tile is not None:
            self.marked.emit(tile, wanted)

    def _allow(self) -> None:
        for button in (self.more, self.less):
            button.setEnabled(self.chosen is not None)


def _title(shown: int, others: int) -> str:
    if not others:
        return "No other tile is as near as that: make the radius larger."
    tiles = counted(others, "tiles")
    if shown < others:
        return f"The {shown} nearest of {tiles} found besides your examples:"
    return f"{tiles} found besides your examples, nearest first:"
