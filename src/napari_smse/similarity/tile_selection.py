"""Some of a slide's tiles, of all its scales: those within a region, and what they cover."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from napari_smse.scoring.tile_table import SlideTiles
from napari_smse.similarity.hit_regions import hit_area, hit_regions


def tiles_within(tiles: SlideTiles, region: BaseGeometry) -> NDArray[np.bool_]:
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


def covered_regions(tiles: SlideTiles, chosen: NDArray[np.bool_]) -> list[Polygon]:
    """Return what tiles of all scales cover, as polygons that do not touch along an edge.

    They are in level-0 px, from top to bottom; `hit_regions` says how exact they are.
    """
    found = [hit_regions(tiles.scales[n], chosen[tiles.rows_of(n)]) for n in _used(tiles, chosen)]
    if len(found) == 1:
        return found[0]
    whole = shapely.union_all([part for of_scale in found for part in of_scale])
    parts = [one for one in shapely.get_parts(whole) if isinstance(one, Polygon) and one.area]
    return sorted(parts, key=lambda part: (part.bounds[1], part.bounds[0]))


def covered_px(tiles: SlideTiles, chosen: NDArray[np.bool_]) -> float:
    """Return how much of the slide tiles cover, in square level-0 px; nothing counts twice.

    Of several scales together it is counted in cells of the finest grid, which is fast enough to
    follow a selection.
    """
    used = _used(tiles, chosen)
    if len(used) <= 1:
        return sum(hit_area(tiles.scales[n], chosen[tiles.rows_of(n)]) for n in used)
    step = min(tiles.scales[number].grid.spec.stride_level0 for number in used)
    left, top, width, height = tiles.places[chosen].astype(np.float64).T
    x = np.arange(left.min() + step / 2, (left + width).max(), step)
    y = np.arange(top.min() + step / 2, (top + height).max(), step)
    across, down = np.meshgrid(x, y)
    values = np.where(chosen, 1.0, np.nan)
    covered = np.zeros(across.shape, dtype=bool)
    for number in used:
        covered |= np.isfinite(tiles.heat_map(values, number).at(across, down))
    return float(np.count_nonzero(covered)) * step**2


def _used(tiles: SlideTiles, chosen: NDArray[np.bool_]) -> list[int]:
    """Numbers of the scales that any of the tiles is of."""
    return [int(number) for number in np.unique(tiles.scale[chosen])]
