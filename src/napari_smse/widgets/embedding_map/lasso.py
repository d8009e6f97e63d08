"""Draw around points of a plot with the mouse."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyqtgraph as pg
import shapely
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, Qt, Signal
from shapely.geometry.base import BaseGeometry

_FEWEST: Final = 3


class LassoBox(pg.ViewBox):
    """A plot's area in which dragging draws; the right or middle button moves, the wheel zooms."""

    drawn = Signal(object, bool)
    """What was drawn, in the plot's coordinates, and whether it adds to what is chosen."""

    pressed = Signal(object)
    """A place in the plot's coordinates was clicked."""

    def __init__(self) -> None:
        super().__init__(enableMenu=False, lockAspect=True)
        self.outline = pg.PlotCurveItem(pen=pg.mkPen("w", width=1))
        self.outline.setZValue(10)
        self.addItem(self.outline, ignoreBounds=True)
        self._path: list[tuple[float, float]] = []

    def mouseDragEvent(self, event: Any, axis: int | None = None) -> None:
        """Draw with the left button, and move with the others."""
        event.accept()
        if event.button() != Qt.MouseButton.LeftButton:
            moved = self.mapToView(event.lastPos()) - self.mapToView(event.pos())
            self.translateBy(x=moved.x(), y=moved.y())
            return
        if event.isStart():
            self._path = [_pair(self.mapToView(event.buttonDownPos()))]
        self._path.append(_pair(self.mapToView(event.pos())))
        path = np.array([*self._path, self._path[0]])
        self.outline.setData(*(np.empty((2, 0)) if event.isFinish() else path.T))
        if event.isFinish() and len(self._path) >= _FEWEST:
            adds = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            self.drawn.emit(lassoed(np.array(self._path)), adds)

    def mouseClickEvent(self, event: Any) -> None:
        """Tell where was clicked."""
        if event.button() == Qt.MouseButton.LeftButton:
            event.accept()
            self.pressed.emit(self.mapToView(event.pos()))


def lassoed(path: NDArray[np.floating]) -> BaseGeometry:
    """Return what a line, ``(n, 2)``, goes round; each part of it, if the line crosses itself."""
    if len(path) < _FEWEST:
        return shapely.Polygon()
    ring = shapely.LineString([*path, path[0]])
    # Every loop counts; a polygon that crosses itself would have holes where loops overlap.
    return shapely.union_all([*shapely.polygonize([shapely.node(ring)]).geoms])


def _pair(place: QPointF) -> tuple[float, float]:
    return place.x(), place.y()
