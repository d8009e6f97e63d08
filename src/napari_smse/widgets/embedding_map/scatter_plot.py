"""The plot of an embedding map: tiles as points, exemplars over them, a lasso, what is hovered."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QSize, Qt, Signal
from qtpy.QtWidgets import QWidget

from napari_smse.similarity.tile_outlines import points_within
from napari_smse.widgets.embedding_map.lasso import LassoBox
from napari_smse.widgets.embedding_map.point_cloud import PointCloud

_DIMMED: Final = 0.28
BACKGROUND: Final = (28, 30, 36)
_EXEMPLAR_PX: Final = 9
_HEIGHT_PX: Final = 300
_PADDING: Final = 0.06


class _Marks(pg.ScatterPlotItem):
    """Larger marks that leave clicks to the plot."""

    def mouseClickEvent(self, event: Any) -> None:
        """Let the plot find out what was clicked."""
        event.ignore()


class ScatterPlot(pg.PlotWidget):
    """Points that can be coloured, chosen by drawing around them, clicked and pointed at."""

    chosen = Signal(object)
    """Which points are chosen now, ``(n,)`` bool; drawn by the user."""

    hovered = Signal(object, object)
    """Rows of the point and of the exemplar under the mouse; None for none."""

    clicked = Signal(object, object)
    """Rows of the point and of the exemplar that was clicked; None for none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        box = LassoBox()
        super().__init__(parent, viewBox=box, enableMenu=False, background=BACKGROUND)
        self.box = box
        self.setMinimumHeight(_HEIGHT_PX)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.hideButtons()
        self.cloud = PointCloud()
        self.exemplars = _Marks(size=_EXEMPLAR_PX, symbol="d", pxMode=True)
        self.exemplars.setZValue(5)
        self.box.addItem(self.cloud, ignoreBounds=True)
        self.box.addItem(self.exemplars, ignoreBounds=True)
        for side in ("left", "bottom"):
            self.getAxis(side).setTicks([])
        self._points = np.empty((0, 2), dtype=np.float32)
        self._exemplar_points = np.empty((0, 2), dtype=np.float32)
        self._colours = np.empty((0, 3), dtype=np.uint8)
        self.selection = np.empty(0, dtype=bool)
        self.box.drawn.connect(self._choose)
        self.box.pressed.connect(lambda place: self.clicked.emit(*self._rows_at(place)))
        self.scene().sigMouseMoved.connect(self._hover)

    def sizeHint(self) -> QSize:
        """Return a height that leaves room for what stands below the plot."""
        return QSize(_HEIGHT_PX, _HEIGHT_PX)

    # -- what is shown -----------------------------------------------------------------

    def show_points(self, points: NDArray[np.float32], axes: tuple[str, str] = ("", "")) -> None:
        """Show these points, ``(n, 2)``, grey and none of them chosen."""
        self._points = points
        self._colours = np.full((len(points), 3), 140, np.uint8)
        self.selection = np.zeros(len(points), dtype=bool)
        self.cloud.show_points(points)
        for side, text in zip(("bottom", "left"), axes, strict=True):
            self.setLabel(side, text)
        self.show_all()

    def show_exemplars(self, points: NDArray[np.float32], colours: NDArray[np.uint8]) -> None:
        """Show exemplars, ``(e, 2)``, in these colours, ``(e, 3)``, as larger marks."""
        self._exemplar_points = points
        brushes = [pg.mkBrush(*colour) for colour in colours.tolist()]
        self.exemplars.setData(*points.T, brush=brushes, pen=pg.mkPen("w", width=1))

    def set_colours(self, colours: NDArray[np.uint8]) -> None:
        """Colour the points, ``(n, 3)``."""
        self._colours = colours
        self._dress()

    def select(self, selection: NDArray[np.bool_]) -> None:
        """Highlight these points, ``(n,)``; none if none is chosen."""
        self.selection = selection
        self.cloud.bring_forward(selection)
        self._dress()

    def show_all(self) -> None:
        """Let every point be seen."""
        if len(self._points):
            (left, low), (right, high) = self._points.min(axis=0), self._points.max(axis=0)
            wide, tall = max(right - left, 1e-6), max(high - low, 1e-6)
            self.box.setRange(
                xRange=(float(left), float(left + wide)),
                yRange=(float(low), float(low + tall)),
                padding=_PADDING,
            )

    def _dress(self) -> None:
        colours = self._colours
        if self.selection.any():
            dim = self._colours * _DIMMED + np.array(BACKGROUND) * (1 - _DIMMED)
            colours = np.where(self.selection[:, None], self._colours, dim).astype(np.uint8)
        self.cloud.set_colours(colours)

    # -- the mouse ---------------------------------------------------------------------

    def _choose(self, region: Any, adds: bool) -> None:
        found = points_within(self._points, region)
        self.select(found | self.selection if adds else found)
        self.chosen.emit(self.selection)

    def _hover(self, on_scene: QPointF) -> None:
        inside = self.box.sceneBoundingRect().contains(on_scene)
        place = self.box.mapSceneToView(on_scene)
        self.hovered.emit(*(self._rows_at(place) if inside else (None, None)))

    def _rows_at(self, place: QPointF) -> tuple[int | None, int | None]:
        """Rows of the point and the exemplar at a place; an exemplar is in front."""
        exemplar = self._exemplar_at(place) if self.exemplars.isVisible() else None
        return (None, exemplar) if exemplar is not None else (self.cloud.row_at(place), None)

    def _exemplar_at(self, place: QPointF) -> int | None:
        if not len(self._exemplar_points):
            return None
        across, down = self.box.viewPixelSize()
        off = np.hypot(
            (self._exemplar_points[:, 0] - place.x()) / across,
            (self._exemplar_points[:, 1] - place.y()) / down,
        )
        best = int(off.argmin())
        return best if off[best] <= _EXEMPLAR_PX / 2 + 1 else None
