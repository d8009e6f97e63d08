"""Curves that grow while a model learns: loss, and how what is held out fares."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pyqtgraph as pg
from qtpy.QtWidgets import QWidget

from napari_smse.palette import PLOT_BLUE, PLOT_GREY, PLOT_ORANGE
from napari_smse.widgets.controls.layout import let_theme_through

_DRAWN_EVERY_S = 0.2
_HEIGHT_PX = 150
_LOSS, _ACCURACY, _SEPARATION = PLOT_GREY, PLOT_BLUE, PLOT_ORANGE


class LearningCurves(pg.GraphicsLayoutWidget):
    """Left the loss, right what is held out: accuracy, and how far classes lie apart."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setBackground(None)
        let_theme_through(self)
        self.setFixedHeight(_HEIGHT_PX)
        self._losses: list[tuple[float, float]] = []
        self._checks: list[tuple[float, float, float]] = []
        self._drawn = 0.0
        loss = self._plot(0, "loss")
        held = self._plot(1, f"{_dyed('accuracy', _ACCURACY)}, {_dyed('separation', _SEPARATION)}")
        self.loss = loss.plot(pen=_LOSS)
        self.accuracy = held.plot(pen=pg.mkPen(_ACCURACY, width=2))
        self.separation = held.plot(pen=pg.mkPen(_SEPARATION, width=2))
        self.setToolTip(
            "Left: loss. Right, of what is held out: accuracy (blue), and how much further apart "
            "tiles of different classes lie than tiles of one class (orange). They choose nothing."
        )

    def clear_curves(self) -> None:
        """Begin anew."""
        self._losses, self._checks, self._drawn = [], [], 0.0
        self.draw()

    def add_loss(self, step: int, loss: float) -> None:
        """Add the loss of a step; drawn a few times a second at most."""
        self._losses.append((step, loss))
        if time.monotonic() - self._drawn >= _DRAWN_EVERY_S:
            self.draw()

    def add_check(self, step: int, accuracy: float, separation: float) -> None:
        """Add a look at what is held out; it is drawn with the next loss."""
        self._checks.append((step, accuracy, separation))

    def draw(self) -> None:
        """Draw what is known so far."""
        self._drawn = time.monotonic()
        self.loss.setData(*_columns(self._losses, 2))
        steps, right, apart = _columns(self._checks, 3)
        self.accuracy.setData(steps, right)
        self.separation.setData(steps, apart)

    def _plot(self, column: int, title: str) -> pg.PlotItem:
        plot = self.addPlot(0, column, title=f"<span style='font-size: 9pt'>{title}</span>")
        plot.setMenuEnabled(False)
        plot.setMouseEnabled(False, False)
        plot.hideButtons()
        return plot


def _dyed(word: str, colour: str) -> str:
    return f"<span style='color: {colour}'>{word}</span>"


def _columns(rows: Sequence[tuple[float, ...]], width: int) -> list[list[float]]:
    return [[row[i] for row in rows] for i in range(width)]
