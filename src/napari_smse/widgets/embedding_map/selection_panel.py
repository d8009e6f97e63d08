"""What can be done with the tiles that are chosen in an embedding map: kept as regions, mainly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QComboBox, QLabel, QPushButton, QVBoxLayout, QWidget
from shapely import Polygon

from napari_smse.errors import RegionError
from napari_smse.palette import Colour
from napari_smse.progress import Progress, Task
from napari_smse.similarity.tile_outlines import covered_regions
from napari_smse.widgets.controls.layout import hbox, push_button
from napari_smse.widgets.controls.thumbnails import colour_icon
from napari_smse.workflows.embedding_map import EmbeddingMap, MappedSlide

_HINT = (
    "Drag round points to choose tiles (with Shift, further ones). Click a point to see its tile "
    "on the slide. The wheel zooms, the right button moves."
)


class SelectionPanel(QWidget):
    """Says how many tiles are chosen; chooses by place on the slide; makes an annotation."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        hint = QLabel(_HINT)
        self.summary, self.outcome = QLabel(), QLabel()
        self.drawn = QPushButton("Tiles in drawn shapes")
        self.in_view = QPushButton("Tiles in view")
        self.nothing = push_button("None", "Choose no tile.")
        self.classes = QComboBox()
        self.classes.setToolTip("The class that the selection gets; choose one, or type another.")
        self.annotate = QPushButton("Annotate selection")
        self._picked = False
        self.classes.activated.connect(self._note_pick)
        self.drawn.setToolTip(
            "Choose the tiles in the selected shapes, or in all if none is selected."
        )
        self.in_view.setToolTip("Choose the tiles that the slide's window shows now.")
        self.annotate.setToolTip("Outline the chosen tiles as a region of this class.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for label in (hint, self.summary):
            label.setWordWrap(True)
            layout.addWidget(label)
        layout.addLayout(hbox(QLabel("Choose"), self.drawn, self.in_view, self.nothing))
        layout.addLayout(hbox(QLabel("Class"), self.classes, self.annotate))
        self.outcome.setWordWrap(True)
        self.outcome.hide()
        layout.addWidget(self.outcome)
        self.set_chosen("No tile is chosen.", any_chosen=False)

    def set_chosen(self, text: str, *, any_chosen: bool) -> None:
        """Say what is chosen."""
        self.summary.setText(text)
        self.show_outcome("")
        for button in (self.nothing, self.annotate):
            button.setEnabled(any_chosen)

    def show_outcome(self, text: str) -> None:
        """Say what became an annotation."""
        self.outcome.setText(f"{text} Change or save them in SMSE: Annotate." if text else "")
        self.outcome.setVisible(bool(text))

    def suggest(self, name: str) -> None:
        """Choose a class for the user, until they choose one themselves."""
        if not self._picked and self.classes.findText(name) >= 0:
            self.classes.setCurrentText(name)

    def _note_pick(self) -> None:
        self._picked = True

    def offer(self, classes: Mapping[str, Colour]) -> None:
        """Offer these classes; the choice stays if it can."""
        if [*classes] == [self.classes.itemText(row) for row in range(self.classes.count())]:
            return
        before = self.classes.currentText()
        with QSignalBlocker(self.classes):
            self.classes.clear()
            for name, colour in classes.items():
                self.classes.addItem(colour_icon(colour), name)
            if before in classes:
                self.classes.setCurrentText(before)


MOST_REGIONS: Final = 2_000
"""A viewer takes a second to draw so many shapes."""

Outlined = tuple[MappedSlide, list[Polygon]]


def outlined(space: EmbeddingMap, selection: NDArray[np.bool_]) -> Task[list[Outlined]]:
    """Return the regions that chosen tiles, ``(n,)``, cover, slide by slide, in level-0 px.

    Raises
    ------
    RegionError
        There are too many.
    """
    outlines: list[Outlined] = []
    for number, one in enumerate(space.slides):
        yield Progress(number, len(space.slides))
        chosen = selection[space.rows_of(number)]
        if not chosen.any():
            continue
        regions = covered_regions(one.tiles, chosen)
        if len(regions) > MOST_REGIONS:
            raise RegionError(
                f"The chosen tiles of {one.slide.name} lie in {len(regions):,} separate places, "
                f"more than the {MOST_REGIONS:,} that can be drawn: choose fewer tiles."
            )
        outlines.append((one, regions))
    return outlines
