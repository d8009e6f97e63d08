"""The ways to say what is looked for."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGroupBox, QHBoxLayout, QPushButton, QWidget

from napari_smse.widgets.example_layer import Side

_TOLD = {
    Side.LIKE: ("Like this", "what you are looking for"),
    Side.UNLIKE: ("Not like this (optional)", "what was found but is not meant"),
}


class ExampleButtons(QGroupBox):
    """Draw, pick, or take what is there, as examples of one side.

    Parameters
    ----------
    side
        Whether they are meant.
    """

    draw_wanted = Signal()
    pick_toggled = Signal(bool)
    shapes_wanted = Signal()
    view_wanted = Signal()
    clear_wanted = Signal()

    def __init__(self, side: Side, parent: QWidget | None = None) -> None:
        title, meant = _TOLD[side]
        super().__init__(title, parent)
        self.draw = _button("Draw", f"Draw around {meant}, holding the mouse button down.")
        self.pick = _button("Click a tile", f"Click the map where it shows {meant}.")
        self.pick.setCheckable(True)
        self.shapes = _button(
            "Use shapes",
            "Take the shapes that are selected in another layer, such as your annotations.",
        )
        self.view = _button("In view", "Take all that the window shows.")
        self.clear = _button("Clear", "Remove these examples.")
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 4, 6, 4)
        for button in (self.draw, self.pick, self.shapes, self.view, self.clear):
            row.addWidget(button)
        self.draw.clicked.connect(self.draw_wanted)
        self.pick.toggled.connect(self.pick_toggled)
        self.shapes.clicked.connect(self.shapes_wanted)
        self.view.clicked.connect(self.view_wanted)
        self.clear.clicked.connect(self.clear_wanted)


def _button(text: str, tip: str) -> QPushButton:
    made = QPushButton(text)
    made.setToolTip(tip)
    return made
