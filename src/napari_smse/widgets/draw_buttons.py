"""The ways to draw a region."""

from __future__ import annotations

from functools import partial
from typing import Final

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

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
            button.clicked.connect(partial(self._tell, _MODES[name]))

    def _tell(self, mode: str, _checked: bool = False) -> None:
        self.wanted.emit(mode)
