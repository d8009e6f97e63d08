"""Whether slides differ more than classes, as a sentence and two bars, or two pairs of them."""

from __future__ import annotations

from typing import Final

from qtpy.QtCore import QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import (
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_smse.metrics.estimate import counted
from napari_smse.progress import Progress
from napari_smse.similarity.batch_effect import BatchEffect
from napari_smse.similarity.neighbour_accuracy import NeighbourAccuracy
from napari_smse.widgets.controls.layout import push_button
from napari_smse.workflows.batch_effect import BatchEffectResult
from napari_smse.workflows.stain_robustness import StainRobustness

_ABOUT: Final = (
    "If the nearest tiles of a tile are mostly from its own slide, the embedding sees stain and "
    "scanner more than tissue, and what is learnt on one slide will not hold on another."
)
_NOTE: Final = "The line is what guessing reaches."
_STAIN: Final = "Measure with stain changed"
_STAIN_ABOUT: Final = (
    "Read some of these tiles again, change the stain of each at random, and ask the model anew: "
    "what still tells the slides then is not their stain. Takes about as long as scoring them."
)
_SLIDE, _CLASS = QColor(213, 94, 0), QColor(0, 114, 178)
_HEIGHT, _NAME_PX, _VALUE_PX = 26, 52, 104


class AccuracyBar(QWidget):
    """How often something is told right, 0 to 100 %, with a line at chance."""

    def __init__(self, name: str, colour: QColor, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name, self._colour = name, colour
        self.accuracy: NeighbourAccuracy | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        """Return as much as the dock is wide."""
        return QSize(300, _HEIGHT)

    def show_accuracy(self, accuracy: NeighbourAccuracy | None) -> None:
        """Show a figure; none hides the bar."""
        self.accuracy = accuracy
        self.setVisible(accuracy is not None)
        if accuracy is not None:
            interval = accuracy.interval or "cannot be told"
            self.setToolTip(
                f"{counted(accuracy.tiles, 'tiles')} in {accuracy.groups} groups; chance "
                f"{accuracy.chance:.0%}; 95 % interval, from drawing blocks of neighbouring tiles: "
                f"{interval}."
            )
        self.update()

    def paintEvent(self, _event: QPaintEvent | None) -> None:
        """Draw name, bar, chance and figure."""
        if self.accuracy is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        middle = Qt.AlignmentFlag.AlignVCenter
        text = self.palette().windowText().color()
        painter.setPen(text)
        width = self.width() - _NAME_PX - _VALUE_PX
        painter.drawText(QRectF(0, 0, _NAME_PX, _HEIGHT), middle, self._name)
        value = f"{self.accuracy.accuracy:.0%}".replace("%", " %")
        low, high = self.accuracy.low, self.accuracy.high
        if low is not None and high is not None:
            value += f" ({100 * low:.0f}-{100 * high:.0f})"
        right = middle | Qt.AlignmentFlag.AlignRight
        painter.drawText(QRectF(_NAME_PX + width, 0, _VALUE_PX, _HEIGHT), right, value)
        ground = QRectF(_NAME_PX, 5, width, _HEIGHT - 10)
        faint = QColor(text)
        faint.setAlpha(40)
        painter.fillRect(ground, faint)
        filled = QRectF(ground)
        filled.setWidth(width * self.accuracy.accuracy)
        painter.fillRect(filled, self._colour)
        chance = round(_NAME_PX + width * self.accuracy.chance)
        painter.setPen(QPen(text, 2))
        painter.drawLine(chance, 1, chance, _HEIGHT - 1)


class AccuracyPair(QWidget):
    """How often the slide is told, and the class, under a heading."""

    def __init__(self, heading: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.heading = QLabel(heading)
        self.slide, self.of_class = AccuracyBar("Slide", _SLIDE), AccuracyBar("Class", _CLASS)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.heading, self.slide, self.of_class):
            layout.addWidget(widget)

    def show_effect(self, effect: BatchEffect | None, *, headed: bool = True) -> None:
        """Show figures; none hides all."""
        self.setVisible(effect is not None)
        self.heading.setVisible(headed)
        self.slide.show_accuracy(None if effect is None else effect.slide)
        self.of_class.show_accuracy(None if effect is None else effect.of_class)


class BatchEffectPanel(QWidget):
    """Asks for a measurement and shows it; then for one with the stain of the tiles changed."""

    measure_wanted = Signal()

    stain_wanted = Signal()
    """To be measured with the stain changed, or, while that goes on, not any more."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        about = QLabel(_ABOUT)
        self.measure = push_button(
            "Measure", "Measure how far embeddings tell slides apart, rather than classes."
        )
        self.sentence = QLabel()
        self.sentence.setStyleSheet("font-weight: bold;")
        self.as_is, self.stained = (
            AccuracyPair("As they are"),
            AccuracyPair("With stain changed at random"),
        )
        self.slide, self.of_class = self.as_is.slide, self.as_is.of_class
        self.note = QLabel()
        self.stain = QPushButton(_STAIN)
        self.stain.setToolTip(_STAIN_ABOUT)
        self.bar = QProgressBar()
        self.stain_sentence = QLabel()
        self.stain_sentence.setStyleSheet("font-weight: bold;")
        for label in (about, self.sentence, self.note, self.stain_sentence):
            label.setWordWrap(True)
        layout = QVBoxLayout(self)
        for widget in (
            about, self.measure, self.sentence, self.as_is, self.stained, self.stain_sentence,
            self.note, self.stain, self.bar,
        ):  # fmt: skip
            layout.addWidget(widget)
        layout.addStretch()
        self.measure.clicked.connect(self.measure_wanted)
        self.stain.clicked.connect(self.stain_wanted)
        self.show_message("")

    def show_measured(self, found: BatchEffectResult) -> None:
        """Show the verdict, the two bars, and what they are made of."""
        self.show_message(found.effect.sentence)
        self.as_is.show_effect(found.effect, headed=False)
        self.note.setText(
            f"{_made_of(found)} Nearby tiles of the same slide do not count. If slides differ "
            "more: fine-tune with regions on each of them."
        )
        self.stain.show()

    def show_message(self, text: str) -> None:
        """Say something in place of figures."""
        self.sentence.setText(text)
        self.as_is.show_effect(None)
        self.note.clear()
        self.end_stain("")
        self.stained.show_effect(None)
        self.stain.hide()

    # -- with the stain changed --------------------------------------------------------

    def show_stain_progress(self, progress: Progress) -> None:
        """Show how far it is; pressing again stops it."""
        self.stain.setText("Stop")
        self.stain_sentence.hide()
        # Where there is a message the time is spent before the first tile, and no bar would tell.
        share = 0.0 if progress.message else progress.done / max(1, progress.total)
        self.bar.setRange(0, 0 if progress.message else 100)
        self.bar.setValue(round(100 * share))
        self.bar.setFormat(progress.message or "stain anew: %p %")
        self.bar.show()

    def show_stained(self, found: StainRobustness) -> None:
        """Show the same tiles as they are and stained anew, and what that means."""
        effects = found.effects
        self.sentence.setText(effects.before.sentence)
        self.as_is.show_effect(effects.before)
        self.stained.show_effect(effects.after)
        self.end_stain(effects.sentence)
        self.note.setText(
            f"{_made_of(found)} Both pairs of bars are of these same tiles. Each was given the "
            "strength of stain of one of the slides, whichever, and its colours were changed as in "
            "a training; the slides on disk stay as they are."
        )

    def end_stain(self, text: str) -> None:
        """Say what came of it, or why nothing did, and offer it again."""
        self.bar.hide()
        self.stain.setText(_STAIN)
        self.stain_sentence.setText(text)
        self.stain_sentence.setVisible(bool(text))


def _made_of(found: BatchEffectResult | StainRobustness) -> str:
    how = "as drawn" if found.by_drawing else "as the model calls the tiles"
    return f"{_NOTE} {found.tiles:,} tiles of {found.slides} slides; classes {how}."
