"""Which tiles of a slide take the class of the region they lie in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import MultiPolygon

from napari_smse.tiles.tissue import Ground, TissueMask

OF_A_CLASS: Final = 0.5
COMPETES: Final = 0.25
LEAST_TISSUE: Final = 0.25
NO_CLASS: Final = -1
CONFLICT: Final = -2


def label_tiles(
    x: NDArray[np.int32],
    y: NDArray[np.int32],
    edge: int,
    regions: Mapping[str, MultiPolygon],
    mask: TissueMask,
) -> NDArray[np.int64]:
    """Give each tile the class that holds at least half of its tissue.

    Parameters
    ----------
    x, y
        ``(n,)`` corners of the tiles, level-0 px.
    edge
        Their side, level-0 px.
    regions
        What is drawn of each class, level-0 px.
    mask
        The slide's tissue.

    Returns
    -------
    numpy.ndarray
        ``(n,)``: index into the regions; `NO_CLASS`, also with less than a quarter of tissue;
        `CONFLICT` where two classes each hold more than a quarter of the tissue.
    """
    tissue = mask.fraction(x, y, edge)
    if not regions:
        return np.full(len(x), NO_CLASS)
    shares = np.stack([_share(mask, area, x, y, edge, tissue) for area in regions.values()])
    best = shares.argmax(axis=0)
    labels = np.where(shares.max(axis=0) >= OF_A_CLASS, best, NO_CLASS)
    labels[(shares > COMPETES).sum(axis=0) > 1] = CONFLICT
    labels[tissue < LEAST_TISSUE] = NO_CLASS
    return labels.astype(np.int64)


def nearest_areas(
    x: NDArray[np.int32], y: NDArray[np.int32], edge: int, drawn: MultiPolygon
) -> NDArray[np.int64]:
    """Return which of a class's areas each tile's centre lies in or is nearest to, ``(n,)``."""
    centres = shapely.points(x + edge / 2, y + edge / 2)
    return np.asarray(shapely.STRtree(list(drawn.geoms)).nearest(centres), dtype=np.int64)


def joined_areas(areas: Iterable[MultiPolygon]) -> MultiPolygon:
    """Return what any of some areas cover."""
    whole = shapely.union_all(list(areas))
    return whole if isinstance(whole, MultiPolygon) else MultiPolygon([whole])


def _share(
    mask: TissueMask,
    area: MultiPolygon,
    x: NDArray[np.int32],
    y: NDArray[np.int32],
    edge: int,
    tissue: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Share of each tile's tissue that lies in an area, (n,); 0 where there is no tissue."""
    inside = np.where(tissue_inside(mask, area), Ground.TISSUE, Ground.GLASS).astype(np.uint8)
    part = TissueMask(inside, mask.region).fraction(x, y, edge).astype(np.float64)
    return np.divide(part, tissue, out=np.zeros_like(part), where=tissue > 0)


def tissue_inside(mask: TissueMask, area: MultiPolygon) -> NDArray[np.bool_]:
    """Tell which overview pixels are tissue with their centre in an area, (h, w)."""
    width, height = mask.cell
    rows, columns = np.nonzero(mask.tissue)
    x = mask.region.x + (columns + 0.5) * width
    y = mask.region.y + (rows + 0.5) * height
    found = np.zeros(mask.ground.shape, dtype=bool)
    shapely.prepare(area)
    found[rows, columns] = shapely.contains_xy(area, x, y)
    return found
