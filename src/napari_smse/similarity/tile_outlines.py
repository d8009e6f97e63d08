"""What some tiles of a slide cover, as regions and points in level-0 px; tiles within a region."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from napari_smse.scoring.tile_table import TileTable
from napari_smse.tiles import ScaleTiles
from napari_smse.tiles.coverage import TileCoverage


def hit_regions(tiles: ScaleTiles, hits: NDArray[np.bool_]) -> list[Polygon]:
    """Return the union of the boxes of some tiles, as polygons that do not touch along an edge.

    Exact but for edges that only rounding keeps apart: see `TileCoverage.of_tiles`.

    Parameters
    ----------
    tiles
        The tiles of one scale.
    hits
        ``(n,)``, which of them.

    Returns
    -------
    list of Polygon
        Valid, with holes where there are such, in level-0 px; from top to bottom.
    """
    coverage = _coverage(tiles, hits)
    row, column = np.nonzero(coverage.covered())
    if not len(row):
        return []
    x, y = coverage.x, coverage.y
    cells = shapely.box(x[column], y[row], x[column + 1], y[row + 1])
    # Cells meet corner to corner, which makes joining them much faster than any boxes.
    parts = shapely.get_parts(shapely.coverage_union_all(cells))
    return sorted(_corners_only(parts), key=lambda part: (part.bounds[1], part.bounds[0]))


def hit_area(tiles: ScaleTiles, hits: NDArray[np.bool_]) -> float:
    """Return the area that some tiles cover, what several cover counted once, in level-0 px²."""
    return _coverage(tiles, hits).area()


def middles(tiles: ScaleTiles) -> NDArray[np.float64]:
    """Return the middles of tiles, ``(n, 2)`` as (x, y), level-0 px."""
    return np.stack([tiles.x + tiles.width / 2, tiles.y + tiles.height / 2], axis=1)


def _coverage(tiles: ScaleTiles, hits: NDArray[np.bool_]) -> TileCoverage:
    return TileCoverage.of_tiles(tiles.take(np.flatnonzero(hits)))


def _corners_only(polygons: NDArray[np.object_]) -> NDArray[np.object_]:
    """Leave out the corners of cells that lie on a straight edge, of polygons along x and y."""
    rings, polygon = shapely.get_rings(polygons, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    # Each ring ends where it begins: the last point is left out, and its neighbours are found
    # by going round.
    last = np.append(ring[1:] != ring[:-1], True)
    points, ring = points[~last], ring[~last]
    first = np.append(0, np.flatnonzero(np.diff(ring)) + 1)
    end = np.append(first[1:], len(ring)) - 1
    before, after = np.arange(len(ring)) - 1, np.arange(len(ring)) + 1
    before[first], after[end] = end, first
    came, goes = points - points[before], points[after] - points
    turns = (came[:, 0] * goes[:, 1]) != (came[:, 1] * goes[:, 0])
    outlines = shapely.linearrings(points[turns], indices=ring[turns])
    return np.asarray(shapely.polygons(outlines, indices=polygon), dtype=object)


def tiles_within(tiles: TileTable, region: BaseGeometry) -> NDArray[np.bool_]:
    """Return which tiles have their middle in a region, ``(n,)``; the region is in level-0 px."""
    left, top, width, height = tiles.places.astype(np.float64).T
    return points_within(np.stack([left + width / 2, top + height / 2], axis=1), region)


def points_within(points: NDArray[np.floating], region: BaseGeometry) -> NDArray[np.bool_]:
    """Return which points, ``(n, 2)``, lie in a region, ``(n,)``."""
    inside = np.zeros(len(points), dtype=bool)
    if region.is_empty:
        return inside
    left, top, right, bottom = region.bounds
    x, y = points.T
    # Most points are told by the region's bounds alone.
    near = np.flatnonzero((x >= left) & (x <= right) & (y >= top) & (y <= bottom))
    shapely.prepare(region)
    inside[near] = shapely.contains_xy(region, x[near], y[near])
    return inside


def covered_regions(tiles: TileTable, chosen: NDArray[np.bool_]) -> list[Polygon]:
    """Return what tiles of all scales cover, as polygons that do not touch along an edge.

    They are in level-0 px, from top to bottom; `hit_regions` says how exact they are.
    """
    found = [hit_regions(tiles.scales[n], chosen[tiles.rows_of(n)]) for n in _used(tiles, chosen)]
    if len(found) == 1:
        return found[0]
    whole = shapely.union_all([part for of_scale in found for part in of_scale])
    parts = [part for part in shapely.get_parts(whole) if isinstance(part, Polygon) and part.area]
    return sorted(parts, key=lambda part: (part.bounds[1], part.bounds[0]))


def covered_px(tiles: TileTable, chosen: NDArray[np.bool_]) -> float:
    """Return how much of the slide tiles cover, in square level-0 px; nothing counts twice."""
    used = _used(tiles, chosen)
    if len(used) <= 1:
        return sum(hit_area(tiles.scales[n], chosen[tiles.rows_of(n)]) for n in used)
    return TileCoverage.of_boxes(tiles.places[chosen]).area()


def _used(tiles: TileTable, chosen: NDArray[np.bool_]) -> list[int]:
    """Numbers of the scales that any of the tiles is of."""
    return [int(number) for number in np.unique(tiles.scale[chosen])]
