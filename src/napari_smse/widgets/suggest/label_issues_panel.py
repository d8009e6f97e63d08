"""Annotated tiles whose neighbours say otherwise: keep, flip, or drop them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import (
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_smse.scoring import objective_power
from napari_smse.widgets.controls.layout import hbox, push_button
from napari_smse.widgets.controls.thumbnails import ThumbnailReader
from napari_smse.widgets.suggest.tile_queue import untinted
from napari_smse.workflows.label_issues import LabelIssue, LabelIssueResult, correction_of
from napari_smse.workflows.scored_slide import PICTURE_PX

_ABOUT: Final = (
    "Tiles in your regions that look most like tiles of another class elsewhere. Some are wrong "
    "labels, some are hard cases: look, and decide. The next Fine-tune hears it. Heat maps are "
    "hidden meanwhile."
)


class LabelIssuesPanel(QWidget):
    """Doubted tiles, most doubted first, with what may be said of each."""

    find_wanted = Signal()
    tile_chosen = Signal(object)
    """The `TileOnSlide` that was clicked, or reached with the keys."""

    correction_made = Signal(object)
    """The `TileCorrection` on the tile that is chosen."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        about = QLabel(_ABOUT)
        self.find = push_button(
            "Find suspected label errors",
            "List annotated tiles whose neighbours are of another class.",
        )
        self.note = QLabel()
        self.list = QListWidget()
        self.list.setIconSize(QSize(PICTURE_PX, PICTURE_PX))
        self.list.setMinimumHeight(4 * PICTURE_PX)
        self.list.setToolTip("Click a tile to fly to it.")
        self.keep, self.flip, self.drop = (QPushButton() for _ in range(3))
        self.keep.setToolTip("The label is right: it is not asked for again.")
        self.flip.setToolTip("The tile is of the class that its neighbours are of.")
        self.drop.setToolTip("Don't learn from this tile.")
        for label in (about, self.note):
            label.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.addWidget(about)
        layout.addWidget(self.find)
        layout.addWidget(self.note)
        layout.addWidget(self.list, stretch=1)
        layout.addLayout(hbox(self.keep, self.flip, self.drop))
        self.pictures = ThumbnailReader()
        self.tiles: list[LabelIssue] = []
        self.find.clicked.connect(self.find_wanted)
        self.list.currentRowChanged.connect(self._choose)
        self.pictures.read.connect(self._show_picture)
        self.keep.clicked.connect(lambda: self._decide("kept", lambda one: one.drawn))
        self.flip.clicked.connect(lambda: self._decide("flipped", lambda one: one.suggested))
        self.drop.clicked.connect(lambda: self._decide("dropped", lambda _: ""))
        self.show_message("")
        self._allow()

    @property
    def chosen(self) -> LabelIssue | None:
        """The tile that was clicked."""
        row = self.list.currentRow()
        return self.tiles[row] if 0 <= row < len(self.tiles) else None

    def show_doubts(self, found: LabelIssueResult) -> None:
        """Show what was found in place of what there was."""
        self.list.clear()
        self.tiles = list(found.tiles)
        for one in self.tiles:
            item = QListWidgetItem(_describe(one))
            item.setData(Qt.ItemDataRole.UserRole, "")
            self.list.addItem(item)
        self.pictures.ask([(row, one.tile) for row, one in enumerate(self.tiles)])
        self.show_message(_summary(found))
        self._allow()

    def show_message(self, text: str) -> None:
        """Say what came of looking; nothing to say hides it."""
        self.note.setText(text)
        self.note.setVisible(bool(text))

    def _decide(self, done: str, class_of: Callable[[LabelIssue], str]) -> None:
        one, row = self.chosen, self.list.currentRow()
        if one is None:
            return
        self.correction_made.emit(correction_of(one.tile, class_of(one)))
        item = self.list.item(row)
        if item is not None:
            outcome = f"{done} to {one.suggested}" if done == "flipped" else done
            item.setText(f"{_describe(one)}\n✓ {outcome}")
            item.setData(Qt.ItemDataRole.UserRole, done)
        self._go_on(row)

    def _go_on(self, row: int) -> None:
        """Choose the next tile that nothing was said of."""
        for other in range(row + 1, len(self.tiles)):
            item = self.list.item(other)
            if item is not None and not item.data(Qt.ItemDataRole.UserRole):
                self.list.setCurrentRow(other)
                return

    def _choose(self, _row: int) -> None:
        self._allow()
        if self.chosen is not None:
            self.tile_chosen.emit(self.chosen.tile)

    def _allow(self) -> None:
        one = self.chosen
        for button in (self.keep, self.flip, self.drop):
            button.setEnabled(one is not None)
            button.setVisible(bool(self.tiles))
        self.list.setVisible(bool(self.tiles))
        self.keep.setText("Keep" if one is None else f"Keep {one.drawn}")
        self.flip.setText("Flip" if one is None else f"Flip to {one.suggested}")
        self.drop.setText("Drop")

    def _show_picture(self, row: int, icon: QIcon) -> None:
        item = self.list.item(row)
        if item is not None:
            item.setIcon(untinted(icon))


def _describe(one: LabelIssue) -> str:
    return (
        f"drawn as {one.drawn}\nneighbours say {one.suggested} ({round(100 * one.score)} %)\n"
        f"{objective_power(one.tile.mpp):.3g}x · {one.tile.slide.name}"
    )


def _summary(found: LabelIssueResult) -> str:
    text = (
        f"{found.doubted:,} of {found.annotated:,} annotated tiles look more like another class."
        if found.doubted
        else f"Nothing to doubt: the neighbours of all {found.annotated:,} annotated tiles agree."
    )
    if 0 < len(found.tiles) < found.doubted:
        text = f"{text} The {len(found.tiles)} most doubted:"
    if found.alone:
        text = (
            f"{text} {' and '.join(found.alone)}: one region only, which nothing can be compared "
            "with; draw a second one."
        )
    return text
