"""Pick two tiles and say that they must be alike, or must differ, without naming a class."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import napari
from napari.layers import Image
from qtpy.QtCore import QSize, Signal
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import (
    QLabel,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_smse.annotations.tile_notes import PairConstraint, TilePlace
from napari_smse.slides import Region, Slide
from napari_smse.widgets.controls.layout import hbox, push_button
from napari_smse.widgets.controls.thumbnails import ThumbnailReader
from napari_smse.widgets.layers.pair_constraint_layer import WIDTH_PX, show_pair_constraints
from napari_smse.widgets.layers.screen_width import ScreenWidth
from napari_smse.widgets.layers.tile_marker import fly_to
from napari_smse.widgets.layers.tile_picker import TilePicker
from napari_smse.widgets.slide_layers import layer_with, slide_of
from napari_smse.widgets.tile_notes import SlideTileNotes, notes_of
from napari_smse.workflows.scored_slide import TileOnSlide

_ICON_PX = 48
_ABOUT = (
    "Two tiles that must be alike, or must differ, whatever their class. Press Pick, then click "
    "two tiles of a scored slide."
)


class PairConstraintsPanel(QWidget):
    """Links of the slide that is annotated.

    Parameters
    ----------
    viewer
        Where tiles are picked, and links drawn.
    """

    problem = Signal(str)
    """Something cannot be done; the text says why."""

    def __init__(self, viewer: napari.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layer: Image | None = None
        self._slide: Slide | None = None
        self._notes: SlideTileNotes | None = None
        self._widths: dict[str, ScreenWidth] = {}
        self.chosen: list[TileOnSlide] = []
        self.picker, self.pictures = TilePicker(viewer, self), ThumbnailReader()
        about = QLabel(_ABOUT)
        about.setWordWrap(True)
        self.pick = push_button("Pick", "Click two tiles on the slide, one after the other.")
        self.pick.setCheckable(True)
        self.icons = [QLabel("first"), QLabel("second")]
        self.alike = push_button("Must-link", "The two tiles are of one class.")
        self.differ = push_button("Cannot-link", "The two tiles are of different classes.")
        self.list = QListWidget()
        self.list.setMaximumHeight(110)
        self.list.setToolTip("Click a link to fly to its first tile.")
        self.remove = push_button("Remove", "Remove the chosen link.")
        for icon in self.icons:
            icon.setFixedSize(_ICON_PX, _ICON_PX)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(about)
        layout.addLayout(hbox(self.pick, *self.icons, self.alike, self.differ))
        layout.addWidget(self.list)
        layout.addLayout(hbox(self.remove))
        self._connect()
        self._allow()

    def show_slide(self, layer: Image | None) -> None:
        """Show the links of a slide from now on; of none if there is none."""
        if self._notes is not None:
            self._notes.changed.disconnect(self._show_links, missing_ok=True)
        self._layer = layer
        self._slide = None if layer is None else slide_of(layer)
        self._notes = None if layer is None else notes_of(layer)
        if self._notes is not None:
            self._notes.changed.connect(self._show_links)
        self._clear()
        self._show_links()

    def release(self) -> None:
        """Pick no more, and stop listening; the links stay."""
        self.pick.setChecked(False)
        self.pictures.stop()
        for width in self._widths.values():
            width.release()
        self._widths.clear()
        if self._notes is not None:
            self._notes.changed.disconnect(self._show_links, missing_ok=True)
            self._notes = None

    def _connect(self) -> None:
        self.pick.toggled.connect(self.picker.set_on)
        self.picker.picked.connect(self._take)
        self.picker.missed.connect(self.problem)
        self.picker.switched_off.connect(partial(self.pick.setChecked, False))
        self.pictures.read.connect(self._show_picture)
        self.alike.clicked.connect(lambda: self._link(True))
        self.differ.clicked.connect(lambda: self._link(False))
        self.remove.clicked.connect(self._remove)
        self.list.currentRowChanged.connect(self._choose)

    def _take(self, tile: TileOnSlide) -> None:
        if len(self.chosen) == 2:
            self.chosen = []
        if tile in self.chosen:
            return
        self.chosen.append(tile)
        for icon in self.icons[len(self.chosen) :]:
            icon.clear()
        self.pictures.ask(list(enumerate(self.chosen)))
        self._allow()

    def _link(self, alike: bool) -> None:
        if self._notes is None or len(self.chosen) < 2:
            return
        first, second = (_place(tile) for tile in self.chosen)
        self._clear()
        self._notes.add_link(PairConstraint(first, second, alike))

    def _remove(self) -> None:
        row = self.list.currentRow()
        if self._notes is not None and row >= 0:
            self._notes.remove_link(self._notes.links[row])

    def _choose(self, row: int) -> None:
        self._allow()
        if self._notes is None or not 0 <= row < len(self._notes.links):
            return
        place = self._notes.links[row].first
        layer = layer_with(self._viewer, place.slide)
        if layer is not None:
            fly_to(self._viewer, layer, Region(place.x, place.y, place.width, place.height))

    def _clear(self) -> None:
        self.chosen = []
        for icon, word in zip(self.icons, ("first", "second"), strict=True):
            icon.clear()
            icon.setText(word)
        self._allow()

    def _show_links(self) -> None:
        links = () if self._notes is None else self._notes.links
        self.list.clear()
        for link in links:
            words = "alike" if link.must_link else "differ"
            self.list.addItem(
                QListWidgetItem(f"{words}: {_describe(link.first)} and {_describe(link.second)}")
            )
        if self._layer is not None and self._slide is not None:
            self._draw(self._layer, self._slide, links)
        self._allow()

    def _draw(self, layer: Image, slide: Slide, links: Sequence[PairConstraint]) -> None:
        drawn = show_pair_constraints(self._viewer, layer, slide, links)
        if (earlier := self._widths.pop(slide.quick_hash, None)) is not None:
            earlier.release()
        if drawn is not None:
            self._widths[slide.quick_hash] = ScreenWidth(self._viewer, drawn, WIDTH_PX, self)

    def _show_picture(self, number: int, icon: QIcon) -> None:
        self.icons[number].setPixmap(icon.pixmap(QSize(_ICON_PX, _ICON_PX)))

    def _allow(self) -> None:
        self.pick.setEnabled(self._layer is not None)
        for button in (self.alike, self.differ):
            button.setEnabled(len(self.chosen) == 2)
        self.remove.setEnabled(self.list.currentRow() >= 0)


def _place(tile: TileOnSlide) -> TilePlace:
    one = tile.region
    return TilePlace(tile.slide.quick_hash, tile.mpp, one.x, one.y, one.width, one.height)


def _describe(place: TilePlace) -> str:
    return f"({place.x}, {place.y})"
