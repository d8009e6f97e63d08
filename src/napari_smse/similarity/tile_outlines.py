"""What some tiles of a slide cover, as regions and points in level-0 px; tiles within a region."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from napari_smse.scoring.tile_table import TileTable
from napari_smse.tiles import ScaleTiles


def hit_regions(tiles: ScaleTiles, hits: NDArray[np.bool_]) -> list[Polygon]:
    """Return the union of the boxes of some tiles, as polygons that do not touch along an edge.

    Exact but for this: tiles that are meant to end where others begin may miss each other by the
    `pixel` of their grid, as their edges are rounded. Such edges are taken for one, so that there
    are neither gaps nor slivers between neighbours.

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
    covered, x, y = _covered(tiles, hits)
    row, column = np.nonzero(covered)
    if not len(row):
        return []
    cells = shapely.box(x[column], y[row], x[column + 1], y[row + 1])
    # Cells meet corner to corner, which makes joining them much faster than any boxes.
    parts = shapely.get_parts(shapely.coverage_union_all(cells))
    return sorted(_corners_only(parts), key=lambda part: (part.bounds[1], part.bounds[0]))


def hit_area(tiles: ScaleTiles, hits: NDArray[np.bool_]) -> float:
    """Return the area that some tiles cover, what several cover counted once, in level-0 px²."""
    covered, x, y = _covered(tiles, hits)
    return float(np.diff(y) @ covered @ np.diff(x))


def middles(tiles: ScaleTiles) -> NDArray[np.float64]:
    """Return the middles of tiles, ``(n, 2)`` as (x, y), level-0 px."""
    return np.stack([tiles.x + tiles.width / 2, tiles.y + tiles.height / 2], axis=1)


def _covered(
    tiles: ScaleTiles, hits: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    """Return which cells between the edges of all tiles are covered, and those edges, x and y."""
    found = tiles.take(np.flatnonzero(hits))
    grid = tiles.grid
    columns, rows = np.arange(grid.columns), np.arange(grid.rows)
    x = _edges(np.concatenate([grid.left(columns), grid.right(columns)]), grid.pixel)
    y = _edges(np.concatenate([grid.top(rows), grid.bottom(rows)]), grid.pixel)
    left, right = (_number(x, edge) for edge in (found.x, found.x + found.width))
    top, bottom = (_number(y, edge) for edge in (found.y, found.y + found.height))
    covered = _cells_of_boxes(left, top, right, bottom, (len(y), len(x)))
    return covered, x.astype(np.float64), y.astype(np.float64)


def _cells_of_boxes(
    left: NDArray[np.intp],
    top: NDArray[np.intp],
    right: NDArray[np.intp],
    bottom: NDArray[np.intp],
    edges: tuple[int, int],
) -> NDArray[np.bool_]:
    """Return which cells between so many edges, y and x, lie in a box from edge to edge."""
    # Up where a tile begins and down where it ends: the running sum says how many are there.
    up, down = (
        np.bincount(np.concatenate(corners), minlength=edges[0] * edges[1])
        for corners in (
            (top * edges[1] + left, bottom * edges[1] + right),
            (top * edges[1] + right, bottom * edges[1] + left),
        )
    )
    count = (up - down).reshape(edges).cumsum(axis=0).cumsum(axis=1)
    return np.asarray(count[:-1, :-1] > 0)


def _edges(all_of_them: NDArray[np.integer], pixel: int) -> NDArray[np.integer]:
    """Return the edges in order; of those that only rounding keeps apart, the first."""
    edges = np.unique(all_of_them)
    apart = np.concatenate([[True], np.diff(edges) > pixel])
    return np.asarray(edges[apart])


def _number(edges: NDArray[np.integer], value: NDArray[np.integer]) -> NDArray[np.intp]:
    return np.searchsorted(edges, value, side="right") - 1


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
    left, top, width, height = tiles.places[chosen].T
    x, left_and_right = np.unique(np.concatenate([left, left + width]), return_inverse=True)
    y, top_and_bottom = np.unique(np.concatenate([top, top + height]), return_inverse=True)
    covered = _cells_of_boxes(
        left_and_right[: len(left)],
        top_and_bottom[: len(top)],
        left_and_right[len(left) :],
        top_and_bottom[len(top) :],
        (len(y), len(x)),
    )
    return float(np.diff(y) @ covered @ np.diff(x))


def _used(tiles: TileTable, chosen: NDArray[np.bool_]) -> list[int]:
    """Numbers of the scales that any of the tiles is of."""
    return [int(number) for number in np.unique(tiles.scale[chosen])]
