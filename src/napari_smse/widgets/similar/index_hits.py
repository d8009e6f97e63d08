"""The hits of a folder search: a branch for each slide, with a picture of each tile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QTreeWidget, QTreeWidgetItem, QWidget

from napari_smse.metrics.estimate import counted
from napari_smse.scoring import objective_power
from napari_smse.similarity.index.hits import Hit, SlideHits
from napari_smse.similarity.index.shard import SlideState
from napari_smse.widgets.controls.thumbnails import icon_of
from napari_smse.workflows.scored_slide import PICTURE_PX

_HIT = Qt.ItemDataRole.UserRole
_SHOWN_AT_FIRST = 5
"""Tiles of each slide, so that other slides come into view, too."""

_LINE_PX = 28
_STATES = {
    SlideState.SAME: "",
    SlideState.CHANGED: " · the file changed since",
    SlideState.GONE: " · the file is gone",
}

HitKey = tuple[int, int]
"""Number of the slide, and of the hit on it."""


class IndexHits(QTreeWidget):
    """Nearest first; double-click a tile to go there."""

    chosen = Signal(object, object)
    """The `SlideHits` and the `Hit` that was double-clicked, or entered with the keyboard."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.groups: tuple[SlideHits, ...] = ()
        self.setHeaderHidden(True)
        self.setIconSize(QSize(PICTURE_PX, PICTURE_PX))
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setExpandsOnDoubleClick(False)
        self.setMinimumHeight(4 * PICTURE_PX)
        self.setToolTip(
            "Double-click a tile to see it on its slide. The distance says how alike it is to what "
            "you look for: 0 is the same, 2 the opposite."
        )
        # Double-click, or Enter, as the system has it.
        self.itemDoubleClicked.connect(self._choose)
        self.itemClicked.connect(self._unfold)

    def show_groups(self, groups: Sequence[SlideHits]) -> None:
        """Show what was found instead of what was shown before."""
        self.groups = tuple(groups)
        self.clear()
        for number, found in enumerate(self.groups):
            branch = QTreeWidgetItem([_title(found)])
            branch.setToolTip(0, found.slide.path)
            bold = self.font()
            bold.setBold(True)
            branch.setFont(0, bold)
            branch.setSizeHint(0, QSize(0, _LINE_PX))
            self.addTopLevelItem(branch)
            for place, hit in enumerate(found.hits):
                leaf = QTreeWidgetItem([_words(found, hit)])
                leaf.setData(0, _HIT, (number, place))
                leaf.setSizeHint(0, QSize(0, PICTURE_PX + 6))
                branch.addChild(leaf)
                leaf.setHidden(place >= _SHOWN_AT_FIRST)
            more = len(found.hits) - _SHOWN_AT_FIRST
            if more > 0:
                branch.addChild(self._offer_of_more(f"Show {more} more of {found.slide.name}"))
            branch.setExpanded(True)

    def _offer_of_more(self, text: str) -> QTreeWidgetItem:
        line = QTreeWidgetItem([text])
        underlined = self.font()
        underlined.setUnderline(True)
        line.setFont(0, underlined)
        line.setSizeHint(0, QSize(0, _LINE_PX))
        line.setToolTip(0, "Click to show the other tiles of this slide.")
        return line

    def keyed(self) -> Iterator[tuple[SlideHits, list[tuple[HitKey, Hit]]]]:
        """Give each hit the key that its picture comes back with."""
        for number, found in enumerate(self.groups):
            yield found, [((number, place), hit) for place, hit in enumerate(found.hits)]

    def show_pictures(self, pictures: Sequence[tuple[HitKey, NDArray[np.uint8]]]) -> None:
        """Show pictures that were read."""
        for (number, place), pixels in pictures:
            branch = self.topLevelItem(number)
            leaf = None if branch is None else branch.child(place)
            if leaf is not None:
                leaf.setIcon(0, icon_of(pixels))

    def keyPressEvent(self, event: object) -> None:
        """Go to the current tile with Enter, too."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentItem() is not None:
            self._unfold(self.currentItem())
            self._choose(self.currentItem())
            return
        super().keyPressEvent(event)

    def _choose(self, item: QTreeWidgetItem, _column: int = 0) -> None:
        key = item.data(0, _HIT)
        if key is None:
            if item.parent() is None:
                item.setExpanded(not item.isExpanded())
            return
        found = self.groups[key[0]]
        self.chosen.emit(found, found.hits[key[1]])

    def _unfold(self, item: QTreeWidgetItem, _column: int = 0) -> None:
        """Show the other tiles of a slide, if it is the line that offers them."""
        branch = item.parent()
        if branch is None or item.data(0, _HIT) is not None:
            return
        item.setHidden(True)
        for place in range(branch.childCount() - 1):
            branch.child(place).setHidden(False)


def _title(found: SlideHits) -> str:
    tiles = counted(len(found.hits), "tiles")
    return f"{found.slide.name} · {tiles}{_STATES[found.state]}"


def _words(found: SlideHits, hit: Hit) -> str:
    return (
        f"distance {hit.distance:.2f}\n{found.describe_class(hit)}\n{objective_power(hit.mpp):.3g}x"
    )
