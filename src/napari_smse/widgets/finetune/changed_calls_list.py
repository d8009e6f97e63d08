"""Tiles that a fine-tuned model calls otherwise; click one to fly to it."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSize, Signal
from qtpy.QtWidgets import QLabel, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from napari_smse.scoring import objective_power
from napari_smse.widgets.controls.thumbnails import ThumbnailReader
from napari_smse.workflows.fine_tune import SlideComparison
from napari_smse.workflows.scored_slide import PICTURE_PX, TileOnSlide

_MOST = 200


class ChangedCallsList(QWidget):
    """Furthest moved first."""

    tile_chosen = Signal(object)
    """The `TileOnSlide` that was clicked, or reached with the keys."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title = QLabel()
        self.title.setWordWrap(True)
        self.list = QListWidget()
        self.list.setIconSize(QSize(PICTURE_PX, PICTURE_PX))
        self.list.setMinimumHeight(4 * PICTURE_PX)
        self.list.setToolTip("Click a tile to fly to it.")
        self.pictures = ThumbnailReader()
        self.tiles: list[TileOnSlide] = []
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.title)
        layout.addWidget(self.list)
        self.list.currentRowChanged.connect(self._choose)
        self.pictures.read.connect(self._show_picture)

    def show_slides(self, slides: Sequence[SlideComparison]) -> None:
        """Show what flipped on these slides."""
        found = [(flip, one.scored.slide) for one in slides for flip in one.flipped]
        found.sort(key=lambda one: -one[0].moved)
        found = found[:_MOST]
        self.tiles = [TileOnSlide(slide, flip.region, flip.mpp) for flip, slide in found]
        self.title.setText(_title(slides, len(found)))
        self.list.clear()
        for flip, slide in found:
            text = (
                f"{flip.before} → {flip.after}\nmoved by {flip.moved:.2f} · "
                f"{objective_power(flip.mpp):.3g}x · {slide.name}"
            )
            self.list.addItem(QListWidgetItem(text))
        self.pictures.ask(list(enumerate(self.tiles)))

    def _show_picture(self, row: int, icon: object) -> None:
        item = self.list.item(row)
        if item is not None:
            item.setIcon(icon)

    def _choose(self, row: int) -> None:
        if 0 <= row < len(self.tiles):
            self.tile_chosen.emit(self.tiles[row])


def _title(slides: Sequence[SlideComparison], shown: int) -> str:
    if any(one.before.classes != one.after.classes for one in slides):
        return "The classes are others than before, so no tile can be said to have flipped."
    flips = sum(one.flips for one in slides)
    tiles = sum(one.scored.run.plan.tile_count for one in slides)
    text = f"{flips:,} of {tiles:,} tiles are called otherwise than before"
    return f"{text}; the {shown} that moved furthest:" if shown < flips else f"{text}."
