"""Which tiles belong to a region of interest."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from napari_smse.errors import RegionError
from napari_smse.slides import Slide
from napari_smse.tiles.grid import TileGrid

_MIN_SHARED = 0.5


def tiles_in_region(
    region: BaseGeometry, x: NDArray[np.integer], y: NDArray[np.integer], edge: int
) -> NDArray[np.bool_]:
    """Return which tiles lie in a region of interest, (n,).

    A tile belongs to the region if they share at least half of the smaller of
    the two. Each part of a region counts for itself, too, and one too small or
    thin gets the tile that shows most of it, so that drawing on the slide
    always selects at least one.

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
    tree = shapely.STRtree(boxes)
    shared = np.zeros(len(boxes))
    inside = np.zeros(len(boxes), dtype=bool)
    for part in shapely.get_parts(region):
        candidates = tree.query(part, predicate="intersects")
        if not candidates.size:
            continue
        area = _shared_area(part, boxes[candidates], edge)
        shared[candidates] += area
        enough = area >= _MIN_SHARED * min(float(edge) ** 2, part.area)
        inside[candidates[enough] if enough.any() else candidates[area.argmax()]] = True
    return inside | (shared >= _MIN_SHARED * edge**2)


def rows_and_columns_in_bounds(
    grid: TileGrid, roi: BaseGeometry | None
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the rows and columns of a grid that a region's bounds touch, (n,) and (m,).

    A small region must not cost the whole grid.

    Parameters
    ----------
    grid
        The grid.
    roi
        Region, (x, y) in level-0 px; None for everywhere.
    """
    rows, columns = (np.arange(count, dtype=np.int32) for count in (grid.rows, grid.columns))
    if roi is None:
        return rows, columns
    left, top, right, bottom = roi.bounds
    return (
        rows[(grid.bottom(rows) >= top) & (grid.top(rows) <= bottom)],
        columns[(grid.right(columns) >= left) & (grid.left(columns) <= right)],
    )


def _shared_area(part: BaseGeometry, boxes: NDArray[np.object_], edge: int) -> NDArray[np.float64]:
    """Area that each box shares with a part; only those on its outline are worth cutting out."""
    shapely.prepare(part)
    area = np.full(len(boxes), float(edge) ** 2)
    cut = np.flatnonzero(~shapely.covers(part, boxes))
    area[cut] = shapely.area(shapely.intersection(part, boxes[cut]))
    return area


def require_on_slide(roi: BaseGeometry | None, slide: Slide) -> None:
    """Raise `RegionError` if a region does not touch a slide; None is all of it."""
    if roi is None:
        return
    left, top, right, bottom = roi.bounds if not roi.is_empty else (0, 0, -1, -1)
    beside = left >= slide.width or right <= 0
    if beside or top >= slide.height or bottom <= 0:
        raise RegionError(
            f"The region of interest does not lie on {slide.path.name} "
            f"({slide.width} x {slide.height} level-0 px): draw it on the slide."
        )
