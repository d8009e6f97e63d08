"""What was called on a slide, beside the table of its tiles: areas, histogram, hottest spots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QSignalBlocker, QSize, Qt, Signal
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import (
    QLabel,
    QListView,
    QListWidget,
    QListWidgetItem,
    QSizePolicy,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_smse.palette import PLOT_GREY, Colour
from napari_smse.results.report.content import (
    area_text,
    describe_calls,
    describe_spots,
    share_text,
)
from napari_smse.results.slide_summary import BINS, HotSpot, ScaleSummary
from napari_smse.slides import Slide
from napari_smse.widgets.controls.layout import let_theme_through
from napari_smse.widgets.controls.thumbnails import ThumbnailReader
from napari_smse.widgets.score.tile_table import TileTableView
from napari_smse.workflows.scored_slide import PICTURE_PX, TileOnSlide

_PLOT_PX: Final = 150
_TABLE_PX: Final = 160
_CELL: Final = QSize(PICTURE_PX + 6, PICTURE_PX + 24)
_CALLS_TIP: Final = (
    "How much of the tissue is called what. Tissue under several overlapping tiles counts once. "
    "Indeterminate: the model's card calls no class at these probabilities. Out of distribution: "
    "unlike what the model was trained on."
)
_HISTOGRAM_TIP: Final = (
    "How much of the tissue has which probability, in %, in the colours of what is called. Between "
    "the dotted lines nothing is called."
)
_SPOTS_TIP: Final = "Click a picture to fly to the place. Below: its probability."


class CallHistogram(pg.GraphicsLayoutWidget):
    """How much tissue has which probability, by what is called."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setBackground(None)
        let_theme_through(self)
        self.setFixedHeight(_PLOT_PX)
        self.setToolTip(_HISTOGRAM_TIP)
        self.plot: pg.PlotItem = self.addPlot(0, 0)
        self.plot.setMenuEnabled(False)
        self.plot.setMouseEnabled(False, False)
        self.plot.hideButtons()
        self.plot.setLabel("left", "% of tissue")

    def sizeHint(self) -> QSize:
        """Return as much as the dock is wide."""
        return QSize(300, _PLOT_PX)

    def show_scale(
        self,
        scale: ScaleSummary,
        class_name: str,
        colours: Mapping[str, Colour],
        band: tuple[float, float] | None,
    ) -> None:
        """Show the histogram of a scale, and the band in which nothing is called."""
        self.plot.clear()
        self.plot.setLabel("bottom", f"P({class_name})")
        middles, below = (np.arange(BINS) + 0.5) / BINS, np.zeros(BINS)
        for call, row in zip(scale.calls, scale.histogram, strict=True):
            height = 100 * row / (scale.mm2 or 1.0)
            bars = pg.BarGraphItem(
                x=middles, y0=below, height=height, width=0.9 / BINS, brush=colours[call.name]
            )
            bars.setOpts(pen=pg.mkPen(None))
            self.plot.addItem(bars)
            below = below + height
        pen = pg.mkPen(PLOT_GREY, style=Qt.PenStyle.DotLine)
        for edge in band or ():
            self.plot.addItem(pg.InfiniteLine(edge, pen=pen))
        self.plot.setXRange(0, 1, padding=0.01)
        self.plot.setYRange(0, max(1.0, float(below.max())), padding=0.02)


class SummaryPanel(QWidget):
    """Says in words, numbers, a histogram and pictures what was called on the slide in view."""

    spot_chosen = Signal(object)
    """The `HotSpot` whose picture was clicked, or reached with the keys."""

    shown = Signal()
    """The panel is seen now."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.by, self.sentence, self.calls = QLabel(), QLabel(), QLabel()
        self.note, self.spots_title = QLabel(), QLabel()
        self.histogram = CallHistogram()
        self.spots = _picture_list()
        self.pictures = ThumbnailReader()
        self._spots: tuple[HotSpot, ...] = ()
        self.by.setStyleSheet("font-weight: bold;")
        self.calls.setToolTip(_CALLS_TIP)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        parts: list[QWidget] = [self.by, self.sentence, self.calls, self.note, self.histogram]
        for widget in (*parts, self.spots_title, self.spots):
            layout.addWidget(widget)
            if isinstance(widget, QLabel):
                widget.setWordWrap(True)
        layout.addStretch()
        self.spots.currentRowChanged.connect(self._choose)
        self.spots.itemClicked.connect(lambda item: self._choose(self.spots.row(item)))
        self.pictures.read.connect(self._show_picture)
        self.say("")

    def say(self, text: str, by: str = "") -> None:
        """Show a line in place of a summary."""
        self.by.setText(by)
        self.sentence.setText(text)
        for widget in (self.calls, self.note, self.histogram, self.spots_title, self.spots):
            widget.hide()
        self._list_spots(())

    def show_summary(
        self,
        scale: ScaleSummary,
        class_name: str,
        band: tuple[float, float] | None,
        colours: Mapping[str, Colour],
        slide: Slide,
        *,
        by: str,
        note: str,
    ) -> None:
        """Show what was called at a scale.

        Parameters
        ----------
        scale, class_name, band
            What was called, and the class that is looked for with the probabilities of it that are
            left undecided.
        colours
            Of all that may be called, RGB 0..255.
        slide
            Where the hottest spots are.
        by, note
            What the scores are by, and what a reader must know.
        """
        self.by.setText(f"{by} · {scale.title}")
        self.sentence.setText(describe_calls(scale))
        self.calls.setText(_call_table(scale, class_name, colours))
        self.note.setText(note)
        self.histogram.show_scale(scale, class_name, colours, band)
        self.spots_title.setText(
            f"<b>Hottest spots.</b> {escape(describe_spots(scale, class_name))}"
        )
        self._list_spots(scale.spots)
        for widget in (self.calls, self.histogram, self.spots_title):
            widget.show()
        self.note.setVisible(bool(note))
        self.spots.setVisible(bool(scale.spots))
        tiles = [TileOnSlide(slide, spot.region, spot.mpp) for spot in scale.spots]
        self.pictures.ask(list(enumerate(tiles)))

    def showEvent(self, event: object) -> None:
        """Say that the panel is seen."""
        super().showEvent(event)
        self.shown.emit()

    def _list_spots(self, spots: Sequence[HotSpot]) -> None:
        self._spots = tuple(spots)
        with QSignalBlocker(self.spots):
            self.spots.clear()
            for spot in self._spots:
                item = QListWidgetItem(f"{spot.probability:.2f}")
                # Known before its picture is, or the picture would be cut to the text.
                item.setSizeHint(_CELL)
                self.spots.addItem(item)

    def _show_picture(self, row: int, icon: QIcon) -> None:
        item = self.spots.item(row)
        if item is not None:
            item.setIcon(icon)

    def _choose(self, row: int) -> None:
        if 0 <= row < len(self._spots):
            self.spot_chosen.emit(self._spots[row])


class ResultTabs(QTabWidget):
    """The tiles of the slide in view as a table, and a summary of them; as high as the one seen."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table, self.summary = TileTableView(), SummaryPanel()
        self.table.setMinimumHeight(_TABLE_PX)
        self.addTab(self.table, "Tiles")
        self.addTab(self.summary, "Summary")
        self.setTabToolTip(0, "Every tile with its probabilities.")
        self.setTabToolTip(1, "How much of the tissue is called what, and the hottest spots.")
        self.currentChanged.connect(self._fit)
        self._fit()

    def _fit(self, _number: int = 0) -> None:
        """Let only the page that is seen ask for room."""
        for page in (self.table, self.summary):
            across = QSizePolicy.Policy.Expanding
            seen = page is self.currentWidget()
            page.setSizePolicy(across, across if seen else QSizePolicy.Policy.Ignored)


def _picture_list() -> QListWidget:
    made = QListWidget()
    made.setViewMode(QListView.ViewMode.IconMode)
    made.setMovement(QListView.Movement.Static)
    made.setResizeMode(QListView.ResizeMode.Adjust)
    made.setIconSize(QSize(PICTURE_PX, PICTURE_PX))
    made.setGridSize(_CELL)
    made.setFixedHeight(_CELL.height() + 8)
    made.setToolTip(_SPOTS_TIP)
    return made


def _call_table(scale: ScaleSummary, class_name: str, colours: Mapping[str, Colour]) -> str:
    rows = "".join(
        f'<tr><td><span style="color: rgb{colours[call.name]}">■</span> {escape(call.name)}</td>'
        f'<td align="right">{area_text(call.mm2)}</td>'
        f'<td align="right"><b>{share_text(call.share)}</b></td></tr>'
        for call in sorted(scale.calls, key=lambda call: call.name != class_name)
    )
    return f'<table width="100%" cellpadding="2">{rows}</table>'
