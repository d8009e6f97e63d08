"""Of which class each tile of a slide is: by the regions drawn on it, and by remarks on tiles.

This is the one rule: whatever learns from tiles, measures, keeps or counts them asks here
(`TileClasses`). `label_tiles` is its first half, the regions alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import MultiPolygon

from napari_smse.annotations.tile_notes import TileCorrection, TilePlace
from napari_smse.tiles.scale_tiles import ScaleTiles
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


_ROUNDING: Final = 2
"""Tiles of one grid may differ by so many level pixels in width; see `TileGrid`."""


@dataclass(frozen=True)
class TileClasses:
    """The classes of some tiles of a slide.

    Attributes
    ----------
    names
        Classes: those drawn, in their order, then others that remarks name.
    labels
        ``(n,)``, indices into the names; `NO_CLASS`, or `CONFLICT` where two classes compete.
    drawn
        ``(n,)``, the same by the regions alone.
    remarks
        Those that are about one of these tiles, each with its row, in their order.
    """

    names: tuple[str, ...]
    labels: NDArray[np.int64]
    drawn: NDArray[np.int64]
    remarks: tuple[tuple[int, TileCorrection], ...] = ()

    @property
    def class_names(self) -> NDArray[np.object_]:
        """The class of each tile, ``(n,)``; empty if it has none."""
        found: NDArray[np.object_] = np.array([*self.names, ""], dtype=object)[
            np.where(self.labels < 0, len(self.names), self.labels)
        ]
        return found

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Which tiles a remark gives a class, or none, ``(n,)``."""
        return self._marked(row for row, one in self.remarks if one.says != "exemplar")

    @property
    def exemplars(self) -> NDArray[np.bool_]:
        """Which tiles are to be kept as exemplars, ``(n,)``; one without a class cannot be."""
        marked = self._marked(row for row, one in self.remarks if one.says == "exemplar")
        found: NDArray[np.bool_] = marked & (self.labels >= 0)
        return found

    @property
    def corrected(self) -> NDArray[np.bool_]:
        """Which tiles have a class that is not that of their region, ``(n,)``."""
        found: NDArray[np.bool_] = (self.labels >= 0) & (self.labels != self.drawn)
        return found

    @property
    def is_decided(self) -> NDArray[np.bool_]:
        """Which tiles were drawn on or remarked on, also if they got no class by it, ``(n,)``."""
        found: NDArray[np.bool_] = (self.drawn != NO_CLASS) | self.judged
        return found

    def _marked(self, rows: Iterator[int]) -> NDArray[np.bool_]:
        found = np.zeros(len(self.labels), dtype=bool)
        found[list(rows)] = True
        return found


def classes_of_tiles(
    tiles: ScaleTiles,
    slide: str,
    regions: Mapping[str, MultiPolygon],
    mask: TissueMask,
    remarks: Sequence[TileCorrection] = (),
) -> TileClasses:
    """Return the class of each tile.

    A tile takes the class of the region that it lies in, as `label_tiles` has it. A remark on the
    tile goes before that: it gives another class, or none, which is not to be learnt from. Of two
    remarks the later one counts.

    Parameters
    ----------
    tiles
        Of one scale.
    slide
        Quick hash of their slide.
    regions
        What is drawn of each class, level-0 px.
    mask
        The slide's tissue.
    remarks
        On tiles of any slide and scale; those on others are passed over.
    """
    drawn = label_tiles(tiles.x, tiles.y, tiles.grid.edge, regions, mask)
    rows = rows_at(tiles, slide, [one.place for one in remarks])
    heard = tuple((row, one) for row, one in zip(rows, remarks, strict=True) if row is not None)
    given = (one.class_name for _, one in heard if one.says == "class" and one.class_name)
    names = tuple(dict.fromkeys([*regions, *given]))
    labels = drawn.copy()
    for row, one in heard:
        if one.says == "class" and one.class_name:
            labels[row] = names.index(one.class_name)
        elif one.says != "exemplar":
            labels[row] = NO_CLASS
    return TileClasses(names, labels, drawn, heard)


def rows_at(tiles: ScaleTiles, slide: str, places: Sequence[TilePlace]) -> list[int | None]:
    """Return which of the tiles of a slide lies at each place, if any."""
    if not places:
        return []
    grid = tiles.grid
    hbox = {at: row for row, at in enumerate(zip(tiles.x.tolist(), tiles.y.tolist(), strict=True))}
    slack = _ROUNDING * grid.pixel

    def found(place: TilePlace) -> int | None:
        same = place.slide == slide and round(place.mpp, 4) == round(grid.spec.mpp, 4)
        if not same or abs(place.width - grid.edge) > slack:
            return None
        return hbox.get((place.x, place.y))

    return [found(place) for place in places]
