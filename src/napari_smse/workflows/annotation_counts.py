"""How many tiles and how much tissue the annotations of each class give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from shapely import MultiPolygon

from napari_smse.annotations.tile_labels import CONFLICT, assign_classes
from napari_smse.annotations.tile_notes import TileCorrection
from napari_smse.slides import Slide
from napari_smse.tiles import ScaleTiles, TileSpec, TissueMask, find_tissue
from napari_smse.tiles.plan import tile_grid
from napari_smse.tiles.tile_choice import MIN_TISSUE

TILE_PX: Final = 224
TILE_MPP: Final = 0.5


@dataclass(frozen=True)
class AnnotationCounts:
    """What the annotations of a slide come to.

    Attributes
    ----------
    slide, mask
        The slide and its tissue.
    tiles
        Tiles of 112 um (20x) by class name.
    conflicts
        Tiles that two classes claim, which are not used.
    on_glass
        Classes whose regions hold hardly any tissue.
    """

    slide: Slide
    mask: TissueMask
    tiles: dict[str, int]
    conflicts: int
    on_glass: tuple[str, ...]


def count_tiles(
    slide: Slide,
    regions: Mapping[str, MultiPolygon],
    mask: TissueMask | None,
    corrections: Sequence[TileCorrection] = (),
) -> AnnotationCounts:
    """Return the counts; the slide's tissue is looked for if it is not given.

    Of the corrections, those on tiles of this size count.

    Raises
    ------
    SlideError
        The slide cannot be read, or is no bright-field slide.
    """
    mask = mask or find_tissue(slide)
    grid = tile_grid(slide, TileSpec(TILE_PX, TILE_MPP, slide.mpp))
    rows, columns = (
        index.ravel().astype(np.int32)
        for index in np.meshgrid(np.arange(grid.rows), np.arange(grid.columns), indexing="ij")
    )
    every = ScaleTiles(grid, columns, rows, np.ones(len(rows), np.float32))
    found = assign_classes(every, slide.quick_hash, regions, mask, corrections)
    tiles = {name: int((found.labels == i).sum()) for i, name in enumerate(found.names)}
    dry = [
        name
        for name, area in regions.items()
        if not tiles[name] and _tissue_share(mask, area) < MIN_TISSUE
    ]
    return AnnotationCounts(slide, mask, tiles, int((found.labels == CONFLICT).sum()), tuple(dry))


def _tissue_share(mask: TissueMask, area: MultiPolygon) -> float:
    """Return the share of an area's bounding box that is tissue, roughly."""
    left, top, right, bottom = area.bounds
    edge = max(1, round(max(right - left, bottom - top)))
    x, y = (np.array([round(value)], dtype=np.int32) for value in (left, top))
    return float(mask.fraction(x, y, edge)[0])
