"""How much is called right after so many labels: in the order of the queue, and at random."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QWidget

from napari_smse.active_learning.learning_curve import LabelEfficiency
from napari_smse.palette import PLOT_BLUE, PLOT_GREY, PLOT_ORANGE
from napari_smse.widgets.controls.layout import let_theme_through

_HEIGHT_PX: Final = 190
_QUEUE, _RANDOM = PLOT_BLUE, PLOT_ORANGE
_CHANCE: Final = PLOT_GREY
_BAND_ALPHA: Final = 45
_POINT_PX: Final = 6


class LabelEfficiencyPlot(pg.GraphicsLayoutWidget):
    """Balanced accuracy against the number of labelled tiles, with the spread over the splits."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setBackground(None)
        let_theme_through(self)
        self.setFixedHeight(_HEIGHT_PX)
        self.plot: pg.PlotItem = self.addPlot(0, 0, title=_title())
        self.plot.setMenuEnabled(False)
        self.plot.setMouseEnabled(False, False)
        self.plot.hideButtons()
        self.plot.setLabel("bottom", "labelled tiles")
        self.chance = pg.InfiniteLine(angle=0, pen=pg.mkPen(_CHANCE, style=Qt.PenStyle.DashLine))
        self.plot.addItem(self.chance)
        self.random, self.random_band = self._curve(_RANDOM)
        self.queue, self.queue_band = self._curve(_QUEUE)
        self.setToolTip(
            "Held-out tiles called right, in %, the mean over the classes: labelled in the order "
            "of the queue (blue), and in random order (orange). The dashed line is what guessing "
            "reaches."
        )

    def sizeHint(self) -> QSize:
        """Return as much as the dock is wide."""
        return QSize(300, _HEIGHT_PX)

    def show_efficiency(self, found: LabelEfficiency, classes: int) -> None:
        """Show curves; of so many classes."""
        places = np.arange(len(found.budgets), dtype=np.float64)
        chance = 100.0 / classes
        lows = [chance]
        for curve, band, values in (
            (self.queue, self.queue_band, found.queue.accuracy),
            (self.random, self.random_band, found.random.accuracy),
        ):
            mean, spread = 100 * values.mean(axis=0), 100 * values.std(axis=0, ddof=1)
            curve.setData(places, mean)
            _show_band(band, places, mean, spread)
            lows.append(float((mean - spread).min()))
        self.chance.setValue(chance)
        self.plot.getAxis("bottom").setTicks(
            [[(at, f"{budget:,}") for at, budget in enumerate(found.budgets.tolist())]]
        )
        self.plot.setXRange(0, len(places) - 1, padding=0.04)
        self.plot.setYRange(max(0.0, min(lows)), 100, padding=0.04)

    def _curve(self, colour: str) -> tuple[pg.PlotDataItem, pg.FillBetweenItem]:
        fill = QColor(colour)
        fill.setAlpha(_BAND_ALPHA)
        edges = [pg.PlotDataItem(), pg.PlotDataItem()]
        band = pg.FillBetweenItem(*edges, brush=fill)
        self.plot.addItem(band)
        pen = pg.mkPen(colour, width=2)
        curve = self.plot.plot(
            pen=pen, symbol="o", symbolSize=_POINT_PX, symbolBrush=colour, symbolPen=None
        )
        return curve, band


def _show_band(
    band: pg.FillBetweenItem,
    places: NDArray[np.float64],
    mean: NDArray[np.float64],
    spread: NDArray[np.float64],
) -> None:
    low, high = band.curves
    low.setData(places, np.clip(mean - spread, 0, 100))
    high.setData(places, np.clip(mean + spread, 0, 100))


def _title() -> str:
    queue, random = (
        f"<span style='color: {colour}'>{word}</span>"
        for word, colour in (("queue order", _QUEUE), ("random order", _RANDOM))
    )
    return f"<span style='font-size: 9pt'>held out, right (%): {queue}, {random}</span>"
