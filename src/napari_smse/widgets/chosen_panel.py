"""What can be done with the tiles that are chosen in an embedding map."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QComboBox, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_smse.palette import Colour
from napari_smse.widgets.rows import row_of
from napari_smse.widgets.swatch import swatch

_HINT = (
    "Drag round points to choose tiles (with Shift, further ones). Click a point to see its tile "
    "on the slide. The wheel zooms, the right button moves."
)


class ChosenPanel(QWidget):
    """Says how many tiles are chosen; chooses by place on the slide; makes an annotation."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        hint = QLabel(_HINT)
        self.told, self.kept = QLabel(), QLabel()
        self.drawn = QPushButton("Tiles in drawn shapes")
        self.in_view = QPushButton("Tiles in view")
        self.nothing = QPushButton("None")
        self.classes = QComboBox()
        self.annotate = QPushButton("Make annotation")
        self._picked = False
        self.classes.activated.connect(self._note_pick)
        self.drawn.setToolTip(
            "Choose the tiles in the selected shapes, or in all if none is selected."
        )
        self.in_view.setToolTip("Choose the tiles that the slide's window shows now.")
        self.annotate.setToolTip("Outline the chosen tiles as a region of this class.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for label in (hint, self.told):
            label.setWordWrap(True)
            layout.addWidget(label)
        layout.addLayout(row_of(QLabel("Choose"), self.drawn, self.in_view, self.nothing))
        layout.addLayout(row_of(QLabel("Call them"), self.classes, self.annotate))
        self.kept.setWordWrap(True)
        self.kept.hide()
        layout.addWidget(self.kept)
        self.set_chosen("No tile is chosen.", any_chosen=False)

    def set_chosen(self, text: str, *, any_chosen: bool) -> None:
        """Say what is chosen."""
        self.told.setText(text)
        self.tell_kept("")
        for button in (self.nothing, self.annotate):
            button.setEnabled(any_chosen)

    def tell_kept(self, text: str) -> None:
        """Say what became an annotation."""
        self.kept.setText(f"{text} Change or save them in SMSE: Annotate." if text else "")
        self.kept.setVisible(bool(text))

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
                self.classes.addItem(swatch(colour), name)
            if before in classes:
                self.classes.setCurrentText(before)
