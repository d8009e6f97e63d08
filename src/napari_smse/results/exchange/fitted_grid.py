"""The grid that tiles of another program lie on, from the places of their corners alone.

Corners are whole level-0 px, and the step from tile to tile often is not: 224 px at 0.25 um/px are
112.2 px of a slide of 0.499. So the step is fitted to all of them, as over a slide's width the
fractions add up to whole tiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.slides import Region, Slide
from napari_smse.tiles import TileGrid, TileSpec
from napari_smse.tiles.spec import MAX_OVERLAP

_OFF_PX: Final = 1.5
_OFF: Final = 0.02
"""How far a tile of a grid lies from its place at most, px, or as a fraction of a step: corners are
whole px of the level that tiles are cut from."""
_JITTER_PX: Final = 1.0
"""Corners that differ by no more are of one column."""
_ROUNDING: Final = 1e-6


def usual_step(corners: NDArray[np.floating] | NDArray[np.integer]) -> float:
    """Return the commonest distance of neighbouring columns and rows, px; 0 of a single tile.

    The last of each is left out if there are others, as it may have been moved back inside the
    slide.

    Parameters
    ----------
    corners
        ``(n, 2)``: (x, y), level-0 px.
    """
    apart = [np.diff(np.unique(np.rint(side))) for side in corners.T]
    steps = np.concatenate([side[:-1] for side in apart])
    if not len(steps):
        steps = np.concatenate(apart)
    kinds, counts = np.unique(steps, return_counts=True)
    return float(kinds[counts.argmax()]) if len(kinds) else 0.0


def fitted_grid(
    slide: Slide, corners: NDArray[np.int32], edge: int, tile_px: int, step: float
) -> TileGrid:
    """Return the grid that begins at the first of some tiles and ends with the last.

    A last column or row that does not lie on it was moved back inside the slide, as those of a
    `TileGrid` are, and is a column or row for itself.

    Parameters
    ----------
    slide, corners
        The slide, and where the tiles lie ``(n, 2)``: (x, y), level-0 px.
    edge, tile_px
        Edge of a tile, level-0 px, and at its own scale; where that is not known, the same.
    step
        From a tile to the next, level-0 px, in whole px; more than the edge if there are gaps.
    """
    px = tile_px if tile_px > 0 else edge
    least = max(1.0, (1 - MAX_OVERLAP) * edge)
    step = _fitted_step(corners, min(max(step, least), edge))
    size = _size(edge, step)
    overlap = min(max(1 - step / size, 0.0), MAX_OVERLAP)
    spec = TileSpec(px, slide.mpp * size / px, slide.mpp, overlap)
    if not len(corners):
        return TileGrid(spec, Region(0, 0, slide.width, slide.height))
    x, y = corners.min(axis=0).tolist()
    width, height = _extent(corners, spec), _extent(corners[:, ::-1], spec)
    return TileGrid(spec, Region(x, y, width, height))


def _fitted_step(corners: NDArray[np.int32], step: float) -> float:
    """Return the step that fits columns and rows best; the one given if none does."""
    places = [np.unique(side)[:-1].astype(np.float64) for side in corners.T]
    places = [side - side[0] for side in places if len(side)]
    single = np.concatenate([np.empty(0), *map(np.diff, places)])
    single = single[np.rint(single / step) == 1]
    near = float(single.mean()) if len(single) else step
    # Counted from one to the next, as the error of the step would add up.
    numbers = [np.cumsum(np.rint(np.diff(side, prepend=0.0) / near)) for side in places]
    weight = sum(float(number @ number) for number in numbers)
    if not weight:
        return step
    steps = zip(numbers, places, strict=True)
    fitted = sum(float(number @ side) for number, side in steps) / weight
    is_grid = all(_is_on(side, fitted).all() for side in places)
    return fitted if is_grid and abs(fitted - step) < _off(step) else step


def _size(edge: int, step: float) -> float:
    """Return a tile's edge before it was rounded, if so a whole number of steps makes one."""
    steps = max(1, round(edge / step)) * step
    return steps if abs(steps - edge) < 0.5 else float(edge)


def _extent(corners: NDArray[np.int32], spec: TileSpec) -> int:
    """Return how far a grid goes along the first axis that begins at the first tile, px."""
    places = np.unique(corners[:, 0]).astype(np.float64)
    size, step, last = spec.size_level0, spec.stride_level0, float(places[-1] - places[0])
    if _is_moved_back(places - places[0], step, lambda: _share_a_row(corners, *places[-2:])):
        return math.ceil(last + size - _ROUNDING)
    return max(1, math.floor(math.floor(last / step + 0.5) * step + size + _ROUNDING))


def _is_moved_back(places: NDArray[np.float64], step: float, are_two: Callable[[], bool]) -> bool:
    """Whether the last of some places does not lie on the grid of the others.

    `are_two` says whether the last two are of two columns, where their distance does not.
    """
    if len(places) < 2 or not _is_on(places[:-1], step).all():
        return False
    before, last = places[-2:]
    if last - before < step / 2:
        return bool(last - before > _JITTER_PX or are_two())
    return not _is_on(last, step)


def _share_a_row(corners: NDArray[np.int32], one: float, other: float) -> bool:
    column, row = corners.T
    return bool(len(np.intersect1d(row[column == one], row[column == other])))


def _is_on(places: NDArray[np.float64], step: float) -> NDArray[np.bool_]:
    return np.asarray(np.abs(places - np.rint(places / step) * step) <= _off(step))


def _off(step: float) -> float:
    return max(_OFF_PX, _OFF * step)
