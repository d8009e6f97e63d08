"""What to draw with, and lines that ask: to take back what a crash left, to load a file."""

from __future__ import annotations

from functools import partial
from typing import Final

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QWidget

from napari_smse.widgets.controls.layout import push_button

FREEHAND: Final = "add_polygon_lasso"

_MODES: Final = {
    "Rectangle": ("add_rectangle", "Drag from corner to corner."),
    "Polygon": ("add_polygon", "Click corner after corner; a double click ends it."),
    "Freehand": (FREEHAND, "Go around it, holding the mouse button down."),
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


class QuestionBar(QWidget):
    """A line with two buttons: hidden until it asks, and again once it was answered.

    Parameters
    ----------
    yes, no
        Text and tooltip of either button.
    """

    wanted = Signal()
    unwanted = Signal()

    def __init__(
        self, yes: tuple[str, str], no: tuple[str, str], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.take, self.drop = push_button(*yes), push_button(*no)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addWidget(self.text, stretch=1)
        layout.addWidget(self.take)
        layout.addWidget(self.drop)
        self.take.clicked.connect(self._answer_yes)
        self.drop.clicked.connect(self._answer_no)
        self.hide()

    @property
    def is_asking(self) -> bool:
        """Whether an answer is waited for."""
        return not self.isHidden()

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


def recovery_bar() -> QuestionBar:
    """Return the line that asks whether to take back what a crash left behind."""
    return QuestionBar(
        ("Take them back", "Show the annotations that were not saved."),
        ("Discard", "Remove the annotations that were not saved."),
    )


def beside_bar() -> QuestionBar:
    """Return the line that offers annotations from a file beside the slide."""
    return QuestionBar(
        ("Load", "Add the regions in the file to what is drawn."),
        ("Not now", "Leave them; Import reads them later."),
    )
