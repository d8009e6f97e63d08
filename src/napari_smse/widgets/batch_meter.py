"""Whether slides differ more than classes, as a sentence and two bars."""

from __future__ import annotations

from typing import Final

from qtpy.QtCore import QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_smse.similarity.batch_effect import Told
from napari_smse.widgets.meter_job import Measured

_ABOUT: Final = (
    "If the nearest tiles of a tile are mostly from its own slide, the embedding sees stain and "
    "scanner more than tissue, and what is learnt on one slide will not hold on another."
)
_NOTE: Final = "The line is what guessing reaches."
_SLIDE, _CLASS = QColor(213, 94, 0), QColor(0, 114, 178)
_HEIGHT, _NAME_PX, _VALUE_PX = 26, 64, 52


class ToldBar(QWidget):
    """How often something is told right, 0 to 100 %, with a line at chance."""

    def __init__(self, name: str, colour: QColor, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name, self._colour = name, colour
        self.told: Told | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        """Return as much as the dock is wide."""
        return QSize(300, _HEIGHT)

    def show_told(self, told: Told | None) -> None:
        """Show a figure; none hides the bar."""
        self.told = told
        self.setVisible(told is not None)
        if told is not None:
            self.setToolTip(f"{told.groups} groups; chance {told.chance:.0%}")
        self.update()

    def paintEvent(self, _event: QPaintEvent | None) -> None:
        """Draw name, bar, chance and figure."""
        if self.told is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        middle = Qt.AlignmentFlag.AlignVCenter
        text = self.palette().windowText().color()
        painter.setPen(text)
        width = self.width() - _NAME_PX - _VALUE_PX
        painter.drawText(QRectF(0, 0, _NAME_PX, _HEIGHT), middle, self._name)
        value = f"{self.told.accuracy:.0%}".replace("%", " %")
        right = middle | Qt.AlignmentFlag.AlignRight
        painter.drawText(QRectF(_NAME_PX + width, 0, _VALUE_PX, _HEIGHT), right, value)
        ground = QRectF(_NAME_PX, 5, width, _HEIGHT - 10)
        faint = QColor(text)
        faint.setAlpha(40)
        painter.fillRect(ground, faint)
        filled = QRectF(ground)
        filled.setWidth(width * self.told.accuracy)
        painter.fillRect(filled, self._colour)
        chance = round(_NAME_PX + width * self.told.chance)
        painter.setPen(QPen(text, 2))
        painter.drawLine(chance, 1, chance, _HEIGHT - 1)


class BatchMeter(QWidget):
    """Asks for a measurement and shows it."""

    measure_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        about = QLabel(_ABOUT)
        self.measure = QPushButton("Measure")
        self.sentence = QLabel()
        self.sentence.setStyleSheet("font-weight: bold;")
        self.slide, self.of_class = ToldBar("Slide", _SLIDE), ToldBar("Class", _CLASS)
        self.note = QLabel()
        for label in (about, self.sentence, self.note):
            label.setWordWrap(True)
        layout = QVBoxLayout(self)
        for widget in (about, self.measure, self.sentence, self.slide, self.of_class, self.note):
            layout.addWidget(widget)
        layout.addStretch()
        self.measure.clicked.connect(self.measure_wanted)
        self.tell("")

    def show_measured(self, found: Measured) -> None:
        """Show the verdict, the two bars, and what they are made of."""
        self.tell(found.effect.sentence)
        self.slide.show_told(found.effect.slide)
        self.of_class.show_told(found.effect.of_class)
        how = "as drawn" if found.by_drawing else "as the model calls the tiles"
        self.note.setText(
            f"{_NOTE} {found.tiles:,} tiles of {found.slides} slides; classes {how}. Nearby tiles "
            "of the same slide do not count. If slides differ more: fine-tune with regions on "
            "each of them."
        )

    def tell(self, text: str) -> None:
        """Say something in place of figures."""
        self.sentence.setText(text)
        self.slide.show_told(None)
        self.of_class.show_told(None)
        self.note.clear()
