"""The buttons above the classes: draw, open, save, and take back what a crash left behind."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QPushButton, QWidget

from napari_smse.slides import Slide

_FILES = "GeoJSON (*.geojson *.json)"


def ask_what_to_import(parent: QWidget) -> Path | None:
    """Return the file that the user chose, if any."""
    chosen, _ = QFileDialog.getOpenFileName(parent, "Import annotations", "", _FILES)
    return Path(chosen) if chosen else None


def ask_where_to_save(parent: QWidget, slide: Slide) -> Path | None:
    """Return the file that the user chose, if any; beside the slide unless told otherwise."""
    usual = str(slide.path.with_suffix(".geojson"))
    chosen, _ = QFileDialog.getSaveFileName(parent, "Save annotations", usual, _FILES)
    return Path(chosen) if chosen else None


_MODES: Final = {
    "Rectangle": "add_rectangle",
    "Polygon": "add_polygon",
    "Freehand": "add_polygon_lasso",
    "Ellipse": "add_ellipse",
    "Select": "select",
}


class DrawButtons(QWidget):
    """A button for each way to draw, and one to select what is drawn."""

    wanted = Signal(str)
    """A mode of napari's Shapes layer."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.buttons = {name: QPushButton(name) for name in _MODES}
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for name, button in self.buttons.items():
            row.addWidget(button)
            button.clicked.connect(partial(self._emit, _MODES[name]))

    def _emit(self, mode: str, _checked: bool = False) -> None:
        self.wanted.emit(mode)


class RecoveryBar(QWidget):
    """Hidden until it asks, and again once it was answered."""

    wanted = Signal()
    unwanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.take = QPushButton("Take them back")
        self.drop = QPushButton("Discard")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addWidget(self.text, stretch=1)
        layout.addWidget(self.take)
        layout.addWidget(self.drop)
        self.take.clicked.connect(self._answer_yes)
        self.drop.clicked.connect(self._answer_no)
        self.hide()

    def ask(self, text: str) -> None:
        """Ask, unless there is nothing to ask."""
        self.text.setText(text)
        self.setVisible(bool(text))

    def _answer_yes(self) -> None:
        self.hide()
        self.wanted.emit()

    def _answer_no(self) -> None:
        self.hide()
        self.unwanted.emit()
