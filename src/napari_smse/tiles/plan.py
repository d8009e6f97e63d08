"""Which tiles to score, and how to read them with few reads."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from napari_smse.errors import NoTissueError, RegionError, ScaleError
from napari_smse.slides import Region, Slide
from napari_smse.tiles.grid import TileGrid
from napari_smse.tiles.roi import tiles_in_region
from napari_smse.tiles.spec import TileSpec
from napari_smse.tiles.tissue import TissueMask, find_tissue

BLOCK_EDGE = 2048
"""Edge of the neighbourhood read at once, in px of the level that serves it."""

MOST_TILES_A_BLOCK = 512
"""Tiles that overlap much are many to a neighbourhood; all of a block's are held at once."""

_SHARED_READ_RATIO = 4.0
"""Scales beyond this ratio share no read, even if one level serves both: blocks would be huge."""

MOST_UPSAMPLING = 2.5
"""A slide is never magnified by more than this: there is nothing there to see."""


@dataclass(frozen=True)
class ScaleTiles:
    """The tiles to score at one scale, ordered so that a block's tiles are neighbours.

    Parameters
    ----------
    grid
        Where tiles can lie.
    columns, rows
        Grid position of each tile, (n,).
    tissue
        Share of each tile that is tissue, (n,) in 0..1.
    """

    grid: TileGrid
    columns: NDArray[np.int32]
    rows: NDArray[np.int32]
    tissue: NDArray[np.float32]

    def __len__(self) -> int:
        """Number of tiles."""
        return len(self.columns)

    @property
    def x(self) -> NDArray[np.int32]:
        """Left edges, level-0 px, (n,)."""
        return self.grid.left(self.columns)

    @property
    def y(self) -> NDArray[np.int32]:
        """Top edges, level-0 px, (n,)."""
        return self.grid.top(self.rows)

    @property
    def width(self) -> NDArray[np.int32]:
        """Widths, level-0 px, (n,): all the same but for rounding."""
        return self.grid.right(self.columns) - self.x

    @property
    def height(self) -> NDArray[np.int32]:
        """Heights, level-0 px, (n,): all the same but for rounding."""
        return self.grid.bottom(self.rows) - self.y

    def region(self, index: int) -> Region:
        """The piece of slide that a tile shows, no edge off its exact place by over half a px."""
        tile = self.take(np.array([index]))
        return Region(*(int(side[0]) for side in (tile.x, tile.y, tile.width, tile.height)))

    def regions(self, start: int, stop: int) -> list[Region]:
        """The pieces of slide that consecutive tiles show."""
        tiles = self.take(np.arange(start, stop))
        sides = (tiles.x, tiles.y, tiles.width, tiles.height)
        return [Region(*map(int, one)) for one in zip(*sides, strict=True)]

    def take(self, index: NDArray[np.integer]) -> ScaleTiles:
        """The tiles at these positions, in this order."""
        return ScaleTiles(self.grid, self.columns[index], self.rows[index], self.tissue[index])


@dataclass(frozen=True)
class ReadBlock:
    """A neighbourhood that is read once for the scales that one level serves.

    Parameters
    ----------
    region
        What to read, level-0 px.
    mpp
        The finest scale that the block serves, um/px.
    members
        For each scale served: its number in the plan, and the first and past-last tile.
    """

    region: Region
    mpp: float
    members: tuple[tuple[int, int, int], ...]

    @property
    def tile_count(self) -> int:
        """Number of tiles of all scales in the block."""
        return sum(stop - start for _, start, stop in self.members)

    def tile(self, row: int) -> tuple[int, int]:
        """Return scale and index of the block's tile in this row."""
        for scale, start, stop in self.members:
            if row < stop - start:
                return scale, start + row
            row -= stop - start
        raise IndexError(row)


@dataclass(frozen=True)
class TilePlan:
    """Everything to be read and scored on one slide.

    Parameters
    ----------
    scales
        Tiles per scale, finest first.
    blocks
        The reads that serve them.
    mask
        The tissue they were chosen by.
    """

    scales: tuple[ScaleTiles, ...]
    blocks: tuple[ReadBlock, ...]
    mask: TissueMask

    @property
    def tile_count(self) -> int:
        """Number of tiles of all scales."""
        return sum(len(tiles) for tiles in self.scales)


def plan_tiles(
    slide: Slide,
    mpps: Sequence[float],
    *,
    tile_px: int = 224,
    overlap: float = 0.0,
    min_tissue: float = 0.25,
    roi: BaseGeometry | None = None,
    mask: TissueMask | None = None,
) -> TilePlan:
    """Choose the tiles to score on a slide and how to read them.

    Parameters
    ----------
    slide
        The slide.
    mpps
        Scales to cut tiles at, um/px; each counts once.
    tile_px
        Edge of a tile at its scale, px.
    overlap
        Share of a tile's edge that its neighbour covers too, 0 to 0.9.
    min_tissue
        A tile is scored if at least this share of it is tissue.
    roi
        Region to score, (x, y) in level-0 px; the whole slide by default.
    mask
        The slide's tissue, if it was found before.

    Raises
    ------
    MissingScaleError
        If the slide's um/px is unknown.
    ScaleError
        If a scale is impossible or much finer than the slide, or a share is outside 0-1.
    NotBrightfieldError
        If the slide is fluorescence, dark-field or black.
    RegionError
        If the region of interest lies off the slide.
    NoTissueError
        If no tile holds enough tissue, or the slide is smaller than one.
    """
    specs = [TileSpec(tile_px, mpp, slide.mpp, overlap) for mpp in sorted(set(mpps))]
    _refuse_empty_magnification(specs, slide)
    if not 0 <= min_tissue <= 1:
        raise ScaleError(
            f"No tile holds {min_tissue:g} of tissue: give the least share as 0 to 1, such as 0.25."
        )
    _require_on_slide(roi, slide)
    mask = find_tissue(slide) if mask is None else mask
    chosen = [_choose(TileGrid(spec, slide.bounds), mask, roi, min_tissue) for spec in specs]
    if not any(len(tiles) for tiles in chosen):
        raise _no_tiles(slide, specs[0], min_tissue, roi)
    return _plan_reads(slide, chosen, mask)


def _no_tiles(
    slide: Slide, finest: TileSpec, min_tissue: float, roi: BaseGeometry | None
) -> NoTissueError:
    area, edge = slide.bounds, finest.size_level0
    if min(area.width, edge) * min(area.height, edge) < min_tissue * edge**2:
        return NoTissueError(
            f"{slide.path.name} has only {area.width} x {area.height} px, too few for a tile "
            f"({edge:.0f} x {edge:.0f} px at {finest.mpp:g} um/px): open the whole slide, or "
            "choose a finer scale."
        )
    where = "on" if roi is None else "in the region of interest on"
    return NoTissueError(
        f"No tissue found {where} {slide.path.name} (no tile with at least "
        f"{min_tissue:.0%} tissue): choose another region, or lower the tissue share."
    )


def _refuse_empty_magnification(specs: Sequence[TileSpec], slide: Slide) -> None:
    if not specs:
        raise ScaleError("No scale was given: name at least one, for example 0.5 um/px (20x).")
    if specs[0].upsampling > MOST_UPSAMPLING:
        raise ScaleError(
            f"{slide.path.name} has {slide.mpp:.3g} um/px, too coarse for tiles at "
            f"{specs[0].mpp:g} um/px: choose {slide.mpp / MOST_UPSAMPLING:.2g} um/px or coarser."
        )


def _require_on_slide(roi: BaseGeometry | None, slide: Slide) -> None:
    if roi is None:
        return
    left, top, right, bottom = roi.bounds if not roi.is_empty else (0, 0, -1, -1)
    beside = left >= slide.width or right <= 0
    if beside or top >= slide.height or bottom <= 0:
        raise RegionError(
            f"The region of interest does not lie on {slide.path.name} "
            f"({slide.width} x {slide.height} level-0 px): draw it on the slide."
        )


def _choose(
    grid: TileGrid, mask: TissueMask, roi: BaseGeometry | None, min_tissue: float
) -> ScaleTiles:
    """Tiles with enough tissue that lie in the region of interest."""
    rows, columns = (
        index.ravel() for index in np.meshgrid(*_rows_and_columns_near(grid, roi), indexing="ij")
    )
    x, y = grid.left(columns), grid.top(rows)
    tissue = mask.fraction(x, y, grid.edge)
    keep = np.flatnonzero(tissue >= max(min_tissue, 1e-6))
    if roi is not None:
        keep = keep[tiles_in_region(roi, x[keep], y[keep], grid.edge)]
    return ScaleTiles(grid, columns[keep], rows[keep], tissue[keep])


def _rows_and_columns_near(
    grid: TileGrid, roi: BaseGeometry | None
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Those that a region's bounds touch: a small region must not cost the whole grid."""
    rows, columns = (np.arange(count, dtype=np.int32) for count in (grid.rows, grid.columns))
    if roi is None:
        return rows, columns
    left, top, right, bottom = roi.bounds
    return (
        rows[(grid.bottom(rows) >= top) & (grid.top(rows) <= bottom)],
        columns[(grid.right(columns) >= left) & (grid.left(columns) <= right)],
    )


def _plan_reads(slide: Slide, chosen: Sequence[ScaleTiles], mask: TissueMask) -> TilePlan:
    """Sort each scale's tiles by the block that holds their centre, and list the blocks."""
    scales = list(chosen)
    blocks: list[ReadBlock] = []
    specs = [tiles.grid.spec for tiles in chosen]
    for group in _groups_sharing_reads(slide, specs):
        pitch = _pitch(slide, [specs[scale] for scale in group])
        keys = {}
        for scale in group:
            key = _block_of(chosen[scale], slide.bounds, pitch)
            order = np.argsort(key, kind="stable")
            scales[scale], keys[scale] = chosen[scale].take(order), key[order]
        blocks.extend(_blocks(scales, keys))
    return TilePlan(tuple(scales), tuple(blocks), mask)


def _groups_sharing_reads(slide: Slide, specs: Sequence[TileSpec]) -> Iterator[list[int]]:
    """Numbers of the scales that the same level serves.

    A scale is never cut from a finer level than its own, so that its scores do not depend
    on the other scales asked for.
    """
    levels = [slide.level_for(spec.mpp / slide.mpp) for spec in specs]
    group = [0]
    for scale in range(1, len(specs)):
        first = group[0]
        far = specs[scale].mpp > _SHARED_READ_RATIO * specs[first].mpp
        if far or levels[scale] != levels[first]:
            yield group
            group = []
        group.append(scale)
    yield group


def _pitch(slide: Slide, specs: Sequence[TileSpec]) -> float:
    """Edge of a block in level-0 px: whole steps of the coarsest scale, so few tiles straddle."""
    step = specs[-1].stride_level0
    level = slide.levels[slide.level_for(specs[0].mpp / slide.mpp)]
    tiles_a_px = sum(spec.stride_level0**-2 for spec in specs)
    edge = min(BLOCK_EDGE * level.downsample, math.sqrt(MOST_TILES_A_BLOCK / tiles_a_px))
    return step * max(1, round(edge / step))


def _block_of(tiles: ScaleTiles, area: Region, pitch: float) -> NDArray[np.int64]:
    """Raster number of the block that holds each tile's centre."""
    half = tiles.grid.edge / 2
    column = ((tiles.x + half - area.x) // pitch).astype(np.int64)
    row = ((tiles.y + half - area.y) // pitch).astype(np.int64)
    return row * (int(area.width // pitch) + 2) + column


def _blocks(
    scales: Sequence[ScaleTiles], keys: dict[int, NDArray[np.int64]]
) -> Iterator[ReadBlock]:
    for key in np.unique(np.concatenate(list(keys.values()))):
        members = []
        for scale, of_tile in keys.items():
            start, stop = (int(i) for i in np.searchsorted(of_tile, [key, key + 1]))
            if stop > start:
                members.append((scale, start, stop))
        mpp = min(scales[scale].grid.spec.mpp for scale, _, _ in members)
        yield ReadBlock(_union(scales, members), mpp, tuple(members))


def _union(scales: Sequence[ScaleTiles], members: Sequence[tuple[int, int, int]]) -> Region:
    """The smallest region that holds all the tiles of a block."""
    left, top, right, bottom = [], [], [], []
    for scale, start, stop in members:
        tiles = scales[scale].take(np.arange(start, stop))
        left.append(tiles.x.min())
        top.append(tiles.y.min())
        right.append((tiles.x + tiles.width).max())
        bottom.append((tiles.y + tiles.height).max())
    x0, y0 = int(min(left)), int(min(top))
    return Region(x0, y0, int(max(right)) - x0, int(max(bottom)) - y0)
