"""Which tiles of a grid hold enough tissue, and which are left out for an artefact."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from napari_smse.slides import Region
from napari_smse.tiles.grid import TileGrid
from napari_smse.tiles.roi import rows_and_columns_in_bounds, tiles_in_region
from napari_smse.tiles.scale_tiles import ScaleTiles
from napari_smse.tiles.spec import TileSpec
from napari_smse.tiles.tissue_mask import Ground, TissueMask

MIN_TISSUE = 0.25
"""Share of what a tile shows that has to be tissue, by default."""

LEAST_SIDE = 0.25
"""A slide whose short side is less than this share of a tile's is too small for it."""

_SOME: Final = 1e-6
"""Of a tile that shows no tissue at all, there is nothing to score, whatever was asked for."""


def is_tiny(area: Region, spec: TileSpec) -> bool:
    """Whether an area is too small for a tile, as most of it would show something else."""
    return min(area.width, area.height) < LEAST_SIDE * spec.size_level0


def choose_tiles(
    grid: TileGrid,
    mask: TissueMask,
    *,
    roi: BaseGeometry | None = None,
    min_tissue: float = MIN_TISSUE,
) -> ScaleTiles:
    """Return the tiles with enough tissue that lie in the region of interest, row by row.

    There are none on what is tiny beside a tile. Where the mask tells artefacts apart, a tile that
    shows more of those left out than of tissue is none. Parameters are those of `plan_tiles`.
    """
    if is_tiny(grid.area, grid.spec):
        none = np.empty(0, np.int32)
        return ScaleTiles(grid, none, none, none.astype(np.float32))
    columns, rows = _places(grid, roi)
    x, y = grid.left(columns), grid.top(rows)
    tissue = mask.fraction(x, y, grid.edge)
    chosen = tissue >= max(min_tissue, _SOME)
    if mask.left_out:
        chosen &= _artefacts(grid, mask, x, y).sum(axis=0) <= tissue
    at = _inside(np.flatnonzero(chosen), grid, x, y, roi)
    return ScaleTiles(grid, columns[at], rows[at], tissue[at])


def artefact_tiles(
    grid: TileGrid,
    mask: TissueMask,
    *,
    roi: BaseGeometry | None = None,
    min_tissue: float = MIN_TISSUE,
) -> dict[Ground, int]:
    """Count the tiles that are left out for an artefact, and would be scored without.

    Parameters
    ----------
    grid, mask, roi, min_tissue
        As for `choose_tiles`.

    Returns
    -------
    dict
        Number of tiles by the artefact that covers most of each; without those that have none.
    """
    if not _kinds(mask) or is_tiny(grid.area, grid.spec):
        return {}
    columns, rows = _places(grid, roi)
    x, y = grid.left(columns), grid.top(rows)
    tissue, artefacts = mask.fraction(x, y, grid.edge), _artefacts(grid, mask, x, y)
    covered, least = artefacts.sum(axis=0), max(min_tissue, _SOME)
    scored = (tissue >= least) & (covered <= tissue)
    without = (covered > 0) & (tissue + covered >= least) & ~scored
    at = _inside(np.flatnonzero(without), grid, x, y, roi)
    kinds = np.array(_kinds(mask))[artefacts[:, at].argmax(axis=0)]
    found, counts = np.unique(kinds, return_counts=True)
    return {Ground(kind): int(count) for kind, count in zip(found, counts, strict=True)}


def _places(
    grid: TileGrid, roi: BaseGeometry | None
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return columns and rows of all tiles about the region of interest, row by row."""
    rows, columns = (
        index.ravel()
        for index in np.meshgrid(*rows_and_columns_in_bounds(grid, roi), indexing="ij")
    )
    return columns, rows


def _kinds(mask: TissueMask) -> list[Ground]:
    """Return the artefacts left out that the mask shows at all."""
    return sorted(kind for kind in mask.left_out or () if (mask.ground == kind).any())


def _artefacts(
    grid: TileGrid, mask: TissueMask, x: NDArray[np.integer], y: NDArray[np.integer]
) -> NDArray[np.float32]:
    """Return the fraction of each tile that each artefact of `_kinds` covers, (kinds, n)."""
    covered = [mask.ground_fractions(kind, x, y, grid.edge) for kind in _kinds(mask)]
    return np.array(covered, dtype=np.float32).reshape(len(covered), len(x))


def _inside(
    at: NDArray[np.intp],
    grid: TileGrid,
    x: NDArray[np.integer],
    y: NDArray[np.integer],
    roi: BaseGeometry | None,
) -> NDArray[np.intp]:
    return at if roi is None else at[tiles_in_region(roi, x[at], y[at], grid.edge)]
