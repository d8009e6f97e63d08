"""Which tiles to score, and how to read them with few reads."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from napari_smse.errors import NoTissueError, ScaleError
from napari_smse.slides import Region, Slide
from napari_smse.tiles.grid import TileGrid
from napari_smse.tiles.roi import require_on_slide
from napari_smse.tiles.scale_tiles import ReadBlock, ScaleTiles
from napari_smse.tiles.spec import TileSpec
from napari_smse.tiles.stain import require_h_and_e
from napari_smse.tiles.tile_choice import MIN_TISSUE, choose_tiles, is_tiny
from napari_smse.tiles.tissue import find_tissue
from napari_smse.tiles.tissue_mask import TissueMask

BLOCK_EDGE = 2048
"""Edge of the neighbourhood read at once, in px of the level that serves it."""

MAX_TILES_PER_BLOCK = 512
"""Tiles that overlap much are many to a neighbourhood; all of a block's are held at once."""

_SHARED_READ_RATIO = 4.0
"""Scales beyond this ratio share no read, even if one level serves both: blocks would be huge."""

_SECOND_PASS = 2**40
"""Added to the number of a block of the second pass: beyond any that a slide has."""

MAX_UPSAMPLING = 2.5
"""A slide is never magnified by more than this: there is nothing there to see."""


@dataclass(frozen=True)
class TilePlan:
    """The tiles to score on one slide, and the reads that serve them.

    Parameters
    ----------
    scales
        Tiles per scale, finest first.
    blocks
        The reads that serve them.
    mask
        The tissue they were chosen by.
    icc
        The slide's pixels are brought to sRGB by its ICC profile first.
    """

    scales: tuple[ScaleTiles, ...]
    blocks: tuple[ReadBlock, ...]
    mask: TissueMask
    icc: bool = False

    def source(self, slide: Slide) -> Slide:
        """Return a slide as its tiles are read; raises `ColourProfileError` if it cannot be."""
        return slide.with_icc() if self.icc else slide

    @property
    def tile_count(self) -> int:
        """Number of tiles of all scales."""
        return sum(len(tiles) for tiles in self.scales)

    def without(self, scales: Collection[int]) -> TilePlan:
        """Leave the tiles of some scales out of all blocks, which keep their numbers.

        A block that holds no other tiles stays as it is: nobody is to read it.

        Parameters
        ----------
        scales
            Numbers of the scales.
        """
        if not scales:
            return self
        blocks = (_without(self.scales, block, scales) for block in self.blocks)
        return replace(self, blocks=tuple(blocks))


def plan_tiles(
    slide: Slide,
    mpps: Sequence[float],
    *,
    tile_px: int = 224,
    overlap: float = 0.0,
    min_tissue: float = MIN_TISSUE,
    roi: BaseGeometry | None = None,
    mask: TissueMask | None = None,
    coarse_first: bool = False,
    any_stain: bool = False,
    icc: bool = False,
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
        Fraction of a tile's edge that its neighbour covers too, 0 to 0.9.
    min_tissue
        A tile is scored if at least this fraction of it is tissue.
    roi
        Region to score, (x, y) in level-0 px; the whole slide by default.
    mask
        The slide's tissue, if it was found before.
    coarse_first
        Keep the blocks that show all tissue once, at the coarsest scale without overlap, apart
        from those that show it again or at finer scales.
    any_stain
        Also of slides with another stain than H&E.
    icc
        Bring the slide's pixels to sRGB by its ICC profile first; `mask` is of these pixels.

    Raises
    ------
    MissingScaleError
        If the slide's um/px is unknown.
    ColourProfileError
        If ``icc`` is True, and the slide has no ICC profile, or a damaged one.
    ScaleError
        If a scale is impossible or much finer than the slide, or a fraction is outside 0-1.
    NotBrightfieldError
        If the slide is fluorescence, dark-field or black.
    OtherStainError
        If it has another stain than H&E, and ``any_stain`` is False.
    RegionError
        If the region of interest lies off the slide.
    NoTissueError
        If no tile holds enough tissue, or the slide is much smaller than one.
    """
    specs = [TileSpec(tile_px, mpp, slide.mpp, overlap) for mpp in sorted(set(mpps))]
    _refuse_empty_magnification(specs, slide)
    if not 0 <= min_tissue <= 1:
        raise ScaleError(
            f"No tile holds {min_tissue:g} of tissue: give the least share as 0 to 1, such as 0.25."
        )
    require_on_slide(roi, slide)
    slide = slide.with_icc() if icc else slide
    mask = find_tissue(slide) if mask is None else mask
    if not any_stain:
        require_h_and_e(mask.stain, slide.path)
    chosen = [
        choose_tiles(tile_grid(slide, spec), mask, roi=roi, min_tissue=min_tissue) for spec in specs
    ]
    if not any(len(tiles) for tiles in chosen):
        raise _no_tiles(slide, specs[0], min_tissue, roi)
    return plan_reads(slide, chosen, mask, coarse_first=coarse_first, icc=icc)


def tile_grid(slide: Slide, spec: TileSpec) -> TileGrid:
    """Lay a grid on whole pixels of the level that its tiles are cut from."""
    step = slide.levels[slide.level_for(spec.mpp / slide.mpp)].downsample
    return TileGrid(spec, slide.bounds, int(step) if step.is_integer() else 1)


def _no_tiles(
    slide: Slide, finest: TileSpec, min_tissue: float, roi: BaseGeometry | None
) -> NoTissueError:
    area, edge = slide.bounds, finest.size_level0
    if is_tiny(area, finest):
        return NoTissueError(
            f"{slide.path.name} has only {area.width} x {area.height} px, too few for a tile "
            f"({edge:.0f} x {edge:.0f} px at {finest.mpp:g} µm/px): open the whole slide, or "
            "choose a finer scale."
        )
    location = "on" if roi is None else "in the region of interest on"
    return NoTissueError(
        f"No tissue found {location} {slide.path.name} (no tile with at least "
        f"{min_tissue:.0%} tissue): choose another region, or lower the tissue share."
    )


def _refuse_empty_magnification(specs: Sequence[TileSpec], slide: Slide) -> None:
    if not specs:
        raise ScaleError("No scale was given: name at least one, for example 0.5 µm/px (20x).")
    if specs[0].upsampling > MAX_UPSAMPLING:
        raise ScaleError(
            f"{slide.path.name} has {slide.mpp:.3g} µm/px, too coarse for tiles at "
            f"{specs[0].mpp:g} µm/px: choose {slide.mpp / MAX_UPSAMPLING:.2g} µm/px or coarser."
        )


def plan_reads(
    slide: Slide,
    chosen: Sequence[ScaleTiles],
    mask: TissueMask,
    *,
    coarse_first: bool = False,
    icc: bool = False,
) -> TilePlan:
    """Sort each scale's tiles by the block that holds their centre, and list the blocks.

    Tiles that are sorted so already keep their order.

    Parameters
    ----------
    slide
        The slide.
    chosen
        The tiles of each scale, finest first.
    mask
        The tissue they were chosen by.
    coarse_first, icc
        As for `plan_tiles`.
    """
    scales = list(chosen)
    blocks: list[ReadBlock] = []
    specs = [tiles.grid.spec for tiles in chosen]
    # The second pass is ordered block by block: smaller ones order it better.
    edge = BLOCK_EDGE // 2 if coarse_first else BLOCK_EDGE
    for group in _groups_sharing_reads(slide, specs, apart=coarse_first):
        pitch = _pitch(slide, [specs[scale] for scale in group], edge)
        keys = {}
        for scale in group:
            keys_of_scale = _block_numbers(chosen[scale], slide.bounds, pitch)
            if coarse_first:
                keys_of_scale[
                    ~_in_coarse_pass(chosen[scale], coarsest=scale == len(specs) - 1)
                ] += _SECOND_PASS
            order = np.argsort(keys_of_scale, kind="stable")
            scales[scale], keys[scale] = chosen[scale].take(order), keys_of_scale[order]
        blocks.extend(_blocks(scales, keys))
    return TilePlan(tuple(scales), tuple(blocks), mask, icc)


def _in_coarse_pass(tiles: ScaleTiles, *, coarsest: bool) -> NDArray[np.bool_]:
    """Those tiles of the coarsest scale that cover the tissue next to each other."""
    stride = max(1, round(1 / (1 - tiles.grid.spec.overlap)))
    return np.asarray(coarsest & (tiles.columns % stride == 0) & (tiles.rows % stride == 0))


def _groups_sharing_reads(
    slide: Slide, specs: Sequence[TileSpec], *, apart: bool
) -> Iterator[list[int]]:
    """Numbers of the scales that the same level serves.

    A scale is never cut from a finer level than its own, so that its scores do not depend
    on the other scales requested.
    """
    levels = [slide.level_for(spec.mpp / slide.mpp) for spec in specs]
    group = [0]
    for scale in range(1, len(specs)):
        group_start = group[0]
        too_coarse = specs[scale].mpp > _SHARED_READ_RATIO * specs[group_start].mpp
        if apart or too_coarse or levels[scale] != levels[group_start]:
            yield group
            group = []
        group.append(scale)
    yield group


def _pitch(slide: Slide, specs: Sequence[TileSpec], max_px: int) -> float:
    """Edge of a block in level-0 px: whole steps of the coarsest scale, so few tiles straddle."""
    step = specs[-1].stride_level0
    level = slide.levels[slide.level_for(specs[0].mpp / slide.mpp)]
    tiles_a_px = sum(spec.stride_level0**-2 for spec in specs)
    edge = min(max_px * level.downsample, math.sqrt(MAX_TILES_PER_BLOCK / tiles_a_px))
    return step * max(1, round(edge / step))


def _block_numbers(tiles: ScaleTiles, area: Region, pitch: float) -> NDArray[np.int64]:
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
        for scale, tile_keys in keys.items():
            start, stop = (int(i) for i in np.searchsorted(tile_keys, [key, key + 1]))
            if stop > start:
                members.append((scale, start, stop))
        yield _block(scales, members, is_coarse=bool(key < _SECOND_PASS))


def _without(
    scales: Sequence[ScaleTiles], block: ReadBlock, left_out: Collection[int]
) -> ReadBlock:
    members = [member for member in block.members if member[0] not in left_out]
    if not members or len(members) == len(block.members):
        return block
    return _block(scales, members, is_coarse=block.coarse_first)


def _block(
    scales: Sequence[ScaleTiles], members: Sequence[tuple[int, int, int]], *, is_coarse: bool
) -> ReadBlock:
    mpp = min(scales[scale].grid.spec.mpp for scale, _, _ in members)
    return ReadBlock(_union(scales, members), mpp, tuple(members), coarse_first=is_coarse)


def _union(scales: Sequence[ScaleTiles], members: Sequence[tuple[int, int, int]]) -> Region:
    """The smallest region that holds all the tiles of a block."""
    parts = [scales[scale].take(np.arange(start, stop)) for scale, start, stop in members]
    left = min(int(part.x.min()) for part in parts)
    top = min(int(part.y.min()) for part in parts)
    right = max(int((part.x + part.width).max()) for part in parts)
    bottom = max(int((part.y + part.height).max()) for part in parts)
    return Region(left, top, right - left, bottom - top)
