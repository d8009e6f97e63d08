"""What to draw with, and whether to take back what a crash left behind."""

from __future__ import annotations

from functools import partial
from typing import Final

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QWidget

from napari_smse.widgets.controls.layout import push_button

_MODES: Final = {
    "Rectangle": ("add_rectangle", "Drag from corner to corner."),
    "Polygon": ("add_polygon", "Click corner after corner; a double click ends it."),
    "Freehand": ("add_polygon_lasso", "Go around it, holding the mouse button down."),
    "Ellipse": ("add_ellipse", "Drag from side to side."),
    "Select": ("select", "Click a region to choose it; drag to move it, Delete removes it."),
}
"""Name of each button: the mode of napari's Shapes layer, and what to do then."""


class DrawButtons(QWidget):
    """A button for each way to draw, and one to select what is drawn."""

    wanted = Signal(str)
    """A mode of napari's Shapes layer."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.buttons = {name: push_button(name, tooltip) for name, (_, tooltip) in _MODES.items()}
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for name, made in self.buttons.items():
            row.addWidget(made)
            made.clicked.connect(partial(self._emit, _MODES[name][0]))

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
        self.take = push_button("Take them back", "Show the annotations that were not saved.")
        self.drop = push_button("Discard", "Remove the annotations that were not saved.")
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
