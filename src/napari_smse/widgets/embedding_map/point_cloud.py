"""Hundreds of thousands of points in a pyqtgraph plot, drawn fast.

pyqtgraph draws each point as a picture of its own. Here the number of each point is written into
an array of the plot's pixels, and colours are looked up after that. The array then also knows which
point is under the mouse, and points that were only recoloured need not be placed again.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF
from qtpy.QtGui import QImage, QPainter

_MANY, _SOME = 20_000, 2_000
_REACH_PX: Final = 5
_MARGIN: Final = 0.1
_BLACK: Final = 0xFF000000


class PointCloud(pg.GraphicsObject):
    """Points of a plot, each with a colour."""

    def __init__(self) -> None:
        super().__init__()
        self._points = np.empty((0, 2), dtype=np.float32)
        # Chance says which point is seen where several lie, so that no class covers another.
        self._shuffled = np.empty(0, dtype=np.int32)
        self._order = self._shuffled
        self._in_order = self._points
        self._colours = np.zeros(0, dtype=np.uint32)
        self._seen: tuple[object, ...] | None = None
        self._turns = np.zeros((0, 0), dtype=np.int32)
        self._pixels: NDArray[np.uint32] | None = None
        self._view = QRectF()
        self._bounds = QRectF()

    def show_points(self, points: NDArray[np.float32]) -> None:
        """Show these points, ``(n, 2)``, in grey until they get colours."""
        self.prepareGeometryChange()
        self._points = np.asarray(points, dtype=np.float32)
        # Once, as Qt asks for it several times whenever it draws.
        self._bounds = _bounds_of(self._points)
        self._colours = np.full(len(points), _BLACK | 0x8C8C8C, dtype=np.uint32)
        self._shuffled = np.random.default_rng(0).permutation(len(points)).astype(np.int32)
        self.bring_forward(np.zeros(len(points), dtype=bool))

    def set_colours(self, colours: NDArray[np.uint8]) -> None:
        """Give each point a colour, ``(n, 3)`` uint8."""
        red, green, blue = (part.astype(np.uint32) for part in colours.T)
        self._colours = (_BLACK | red << 16 | green << 8 | blue).astype(np.uint32)
        self._pixels = None
        self.update()

    def bring_forward(self, front: NDArray[np.bool_]) -> None:
        """Draw some points over all others."""
        in_front = front[self._shuffled]
        self._order = np.concatenate([self._shuffled[~in_front], self._shuffled[in_front]])
        self._in_order = self._points[self._order]
        self._seen = None
        self.update()

    def row_at(self, place: QPointF) -> int | None:
        """Return the point that is seen at, or next to, a place in the plot's coordinates."""
        lines, columns = self._turns.shape
        if not (lines and columns and self._view.width() and self._view.height()):
            return None
        column = int((place.x() - self._view.left()) / self._view.width() * columns)
        # The plot counts upwards, pixels downwards.
        line = int((self._view.bottom() - place.y()) / self._view.height() * lines)
        top, left = max(0, line - _REACH_PX), max(0, column - _REACH_PX)
        around = self._turns[
            top : max(0, line + _REACH_PX + 1), left : max(0, column + _REACH_PX + 1)
        ]
        down, along = np.nonzero(around)
        if not len(down):
            return None
        off = np.hypot(down + top - line, along + left - column)
        best = int(off.argmin())
        return int(self._order[around[down[best], along[best]] - 1])

    # -- what pyqtgraph asks for -------------------------------------------------------

    def boundingRect(self) -> QRectF:
        """Return where points are, and a little more, as they are wider than nothing."""
        return self._bounds

    def paint(self, painter: QPainter, *_: Any) -> None:
        """Draw what the plot shows."""
        view = self.viewRect()
        if view is None or not len(self._points):
            return
        on_screen = painter.transform().mapRect(view)
        size = max(1, round(on_screen.width())), max(1, round(on_screen.height()))
        self._place(view, size)
        lines, columns = self._turns.shape
        if self._pixels is None:
            colours = np.concatenate([np.zeros(1, np.uint32), self._colours[self._order]])
            self._pixels = colours[self._turns]
        kind = QImage.Format.Format_ARGB32_Premultiplied
        image = QImage(self._pixels.data, columns, lines, 4 * columns, kind)
        painter.save()
        painter.resetTransform()
        painter.drawImage(on_screen.topLeft(), image)
        painter.restore()

    def _place(self, view: QRectF, size: tuple[int, int]) -> None:
        """Find out which point is seen at each pixel, if anything moved."""
        seen = (view.left(), view.top(), view.width(), view.height(), size)
        if seen != self._seen:
            self._view, self._seen, self._pixels = QRectF(view), seen, None
            edges = (view.left(), view.top(), view.right(), view.bottom())
            self._turns = turns_seen(self._in_order, edges, size)


def _bounds_of(points: NDArray[np.float32]) -> QRectF:
    if not len(points):
        return QRectF()
    x, y = np.ascontiguousarray(points.T)
    left, low = float(x.min()), float(y.min())
    wide, tall = max(float(x.max()) - left, 1e-6), max(float(y.max()) - low, 1e-6)
    return QRectF(left, low, wide, tall).adjusted(
        -_MARGIN * wide, -_MARGIN * tall, _MARGIN * wide, _MARGIN * tall
    )


def turns_seen(
    points: NDArray[np.float32], view: tuple[float, float, float, float], size: tuple[int, int]
) -> NDArray[np.int32]:
    """Return which point is seen at each pixel.

    Parameters
    ----------
    points
        ``(n, 2)``, x to the right, y upwards, in the order they are drawn: later ones cover
        earlier ones.
    view
        Left, lower, right and upper edge of what is shown.
    size
        Columns and lines of pixels. The fewer points are seen, the larger they are.

    Returns
    -------
    NDArray
        ``(lines, columns)``, place of the point in the order + 1; 0 where there is none.
    """
    left, low, right, high = view
    columns, lines = size
    across = (points[:, 0] - np.float32(left)) * np.float32(columns / (right - left))
    down = (np.float32(high) - points[:, 1]) * np.float32(lines / (high - low))
    inside = (across >= 0) & (across < columns) & (down >= 0) & (down < lines)
    turn = np.flatnonzero(inside).astype(np.int32)
    place = down[turn].astype(np.int32) * columns + across[turn].astype(np.int32)
    middles = np.zeros(lines * columns, dtype=np.int32)
    # Of those in one place the last stays.
    middles[place] = turn + 1
    radius = 1 if len(turn) > _MANY else 2 if len(turn) > _SOME else 3
    return _grown(middles.reshape(lines, columns), radius)


def _grown(middles: NDArray[np.int32], radius: int) -> NDArray[np.int32]:
    """Make a disc of each pixel that is not 0; the larger number covers the smaller."""
    lines, columns = middles.shape
    grown = middles.copy()
    reach, most = range(-radius, radius + 1), radius * radius + (radius > 1)
    for y in reach:
        for x in reach:
            if 0 < x * x + y * y <= most:
                to = grown[max(0, y) : lines + min(0, y), max(0, x) : columns + min(0, x)]
                of = middles[max(0, -y) : lines + min(0, -y), max(0, -x) : columns + min(0, -x)]
                np.maximum(to, of, out=to)
    return grown
