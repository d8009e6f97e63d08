"""The triplets that the tuned model gets most wrong: look at them, and correct what is wrong."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSize, Signal
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import (
    QComboBox,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_smse.annotations.tile_notes import TileCorrection, TilePlace
from napari_smse.metrics.estimate import counted
from napari_smse.widgets.controls.layout import hbox, push_button
from napari_smse.widgets.controls.thumbnails import ThumbnailReader
from napari_smse.workflows.fine_tune import FineTuneOutcome
from napari_smse.workflows.scored_slide import TileOnSlide

_HEADS = ("Tile", "Alike, yet far", "Unlike, yet near")
_ICON_PX = 56
_ABOUT = (
    "The tiles learnt from that are furthest from their own class and nearest to another. A wrong "
    "label shows here first: say so, and Fine-tune again."
)


class HardTripletsPanel(QWidget):
    """Rows of anchor, positive and negative, hardest first, with what may be said of a tile."""

    tile_chosen = Signal(object)
    """The `TileOnSlide` that was clicked."""

    correction_made = Signal(object)
    """The `TileCorrection` on the tile that is chosen."""

    forget_wanted = Signal()
    """All corrections are to be forgotten."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        about = QLabel(_ABOUT)
        about.setWordWrap(True)
        self.table = QTableWidget(0, len(_HEADS))
        self.table.setHorizontalHeaderLabels(_HEADS)
        self.table.setIconSize(QSize(_ICON_PX, _ICON_PX))
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QTableWidget.SelectionMode.SingleSelection)
        self.table.setMinimumHeight(5 * _ICON_PX)
        vertical, horizontal = self.table.verticalHeader(), self.table.horizontalHeader()
        assert vertical is not None
        assert horizontal is not None
        vertical.hide()
        vertical.setDefaultSectionSize(_ICON_PX + 6)
        horizontal.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.table.setToolTip("Click a tile to fly to it.")
        self.classes = QComboBox()
        self.classes.setToolTip("The class that the chosen tile is to have.")
        self.fix = QPushButton("Correct label")
        self.ignore = QPushButton("Ignore")
        self.exemplar = QPushButton("Exemplar")
        self.table.setWordWrap(True)
        self.fix.setToolTip("The chosen tile is of the class beside this button.")
        self.ignore.setToolTip("Don't learn from the chosen tile.")
        self.exemplar.setToolTip("Let the model never forget the chosen tile.")
        self.corrections = QLabel()
        self.corrections.setWordWrap(True)
        self.forget = push_button("Forget them", "Remove all corrections of single tiles.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(about)
        layout.addWidget(self.table)
        layout.addLayout(hbox(self.classes, self.fix, self.ignore, self.exemplar))
        layout.addLayout(hbox(self.corrections, self.forget))
        self.pictures = ThumbnailReader()
        self._tiles: dict[tuple[int, int], tuple[TileOnSlide, str]] = {}
        self.pictures.read.connect(self._show_picture)
        self.table.currentCellChanged.connect(self._choose)
        self.fix.clicked.connect(lambda: self._correct("class"))
        self.ignore.clicked.connect(lambda: self._correct("ignore"))
        self.exemplar.clicked.connect(lambda: self._correct("exemplar"))
        self.forget.clicked.connect(self.forget_wanted)
        self._allow(False)
        self.show_corrections(())

    @property
    def chosen(self) -> TileOnSlide | None:
        """The tile that was clicked."""
        found = self._tiles.get((self.table.currentRow(), self.table.currentColumn()))
        return None if found is None else found[0]

    def show_triplets(self, result: FineTuneOutcome) -> None:
        """Show the hardest triplets of a fine-tuning."""
        data = result.tuning.labelled_set
        slides = {one.scored.slide.path: one.scored.slide for one in result.slides}
        self._tiles = {}
        self.table.setRowCount(0)
        self.table.setRowCount(len(result.tuned.hard_triplets))
        for row, triplet in enumerate(result.tuned.hard_triplets):
            for column, number in enumerate(triplet[:3]):
                image = data.images[number]
                name = data.classes[image.label]
                self.table.setItem(row, column, QTableWidgetItem(name))
                if image.region is not None and image.path in slides:
                    tile = TileOnSlide(slides[image.path], image.region, image.mpp_range[0])
                    self._tiles[row, column] = tile, name
        self.classes.clear()
        self.classes.addItems(list(data.classes))
        self._allow(False)
        self.pictures.ask([(key, tile) for key, (tile, _) in self._tiles.items()])

    def show_corrections(self, corrections: Sequence[TileCorrection]) -> None:
        """Say how many corrections wait for the next run."""
        number = len(corrections)
        tiles = counted(number, "tiles")
        self.corrections.setText(
            f"{tiles} corrected; the next Fine-tune takes it." if number else ""
        )
        self.forget.setVisible(bool(number))

    def _show_picture(self, key: tuple[int, int], icon: QIcon) -> None:
        item = self.table.item(*key)
        if item is not None:
            item.setIcon(icon)

    def _choose(self, row: int, column: int, *_before: int) -> None:
        found = self._tiles.get((row, column))
        self._allow(found is not None)
        if found is not None:
            tile, name = found
            # Most often the label is the other one.
            other = next(i for i in range(self.classes.count()) if self._name(i) != name)
            self.classes.setCurrentIndex(other)
            self.tile_chosen.emit(tile)

    def _name(self, index: int) -> str:
        return self.classes.itemText(index)

    def _correct(self, action: str) -> None:
        tile = self.chosen
        if tile is None:
            return
        region = tile.region
        place = TilePlace(
            tile.slide.quick_hash, tile.mpp, region.x, region.y, region.width, region.height
        )
        name = self.classes.currentText() if action == "class" else ""
        self.correction_made.emit(TileCorrection(place, action, name))  # type: ignore[arg-type]
        item = self.table.currentItem()
        if item is not None:
            item.setText({"class": f"now {name}", "ignore": "ignored"}.get(action, "exemplar"))

    def _allow(self, allowed: bool) -> None:
        for widget in (self.classes, self.fix, self.ignore, self.exemplar):
            widget.setEnabled(allowed)
