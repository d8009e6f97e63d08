"""Which tiles belong to a region of interest."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

_LEAST_SHARE = 0.5


def tiles_in_region(
    region: BaseGeometry, x: NDArray[np.integer], y: NDArray[np.integer], edge: int
) -> NDArray[np.bool_]:
    """Which tiles lie in a region of interest.

    A tile belongs to the region if they share at least half of the smaller of
    the two. A region too small or thin for that gets the tile that shows most
    of it, so that drawing on the slide always asks about something.

    Parameters
    ----------
    region
        Polygon or multipolygon, (x, y) in level-0 px.
    x, y
        Top-left corners of the tiles, level-0 px, (n,).
    edge
        Edge of the tiles, level-0 px.
    """
    boxes = shapely.box(x, y, x + edge, y + edge)
    shapely.prepare(region)
    near = np.flatnonzero(shapely.intersects(region, boxes))
    inside = np.zeros(len(boxes), dtype=bool)
    shared = shapely.area(shapely.intersection(region, boxes[near]))
    inside[near] = shared >= _LEAST_SHARE * min(float(edge) ** 2, region.area)
    if near.size and not inside.any():
        inside[near[shared.argmax()]] = True
    return inside
