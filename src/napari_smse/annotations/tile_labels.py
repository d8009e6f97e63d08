"""The class of each tile of a slide: by the regions drawn on it, and by corrections of tiles.

This is the one rule for all that learns from tiles, measures or counts them (`assign_classes`).
`label_tiles` is its first half, the regions alone; `class_areas` says what counts as a region.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from napari_smse.annotations.tile_notes import TileCorrection, TilePlace
from napari_smse.tiles.scale_tiles import ScaleTiles
from napari_smse.tiles.tile_choice import MIN_TISSUE
from napari_smse.tiles.tissue_mask import Ground, TissueMask

MIN_CLASS_FRACTION: Final = 0.5
CONFLICT_FRACTION: Final = 0.25
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
        Area of each class, level-0 px.
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
    fractions = np.stack(
        [_tissue_fraction(mask, area, x, y, edge, tissue) for area in regions.values()]
    )
    largest = fractions.argmax(axis=0)
    labels = np.where(fractions.max(axis=0) >= MIN_CLASS_FRACTION, largest, NO_CLASS)
    labels[(fractions > CONFLICT_FRACTION).sum(axis=0) > 1] = CONFLICT
    labels[tissue < MIN_TISSUE] = NO_CLASS
    return labels.astype(np.int64)


def is_ignored(class_name: str) -> bool:
    """Tell whether QuPath leaves a class out of measurements: its name ends in ``*``."""
    return class_name.endswith("*")


def class_areas(
    drawn: Iterable[tuple[str, Polygon | MultiPolygon]],
) -> dict[str, MultiPolygon]:
    """Return what counts as drawn of each class: all of it that does not lie under an ignored one.

    So no tile takes a class by tissue that lies under ``Ignore*``, whatever else is drawn there.

    Parameters
    ----------
    drawn
        Class name, empty if there is none, and area of each annotation, level-0 px.

    Returns
    -------
    dict
        By class name, sorted; without ignored classes, areas without a class, and classes of
        which nothing is left.
    """
    by_class: dict[str, list[Polygon | MultiPolygon]] = defaultdict(list)
    for name, area in drawn:
        by_class[name].append(area)
    ignored = shapely.union_all(
        [area for name, areas in by_class.items() if is_ignored(name) for area in areas]
    )
    left = {
        name: _polygons(shapely.union_all(areas).difference(ignored))
        for name, areas in sorted(by_class.items())
        if name and not is_ignored(name)
    }
    return {name: area for name, area in left.items() if not area.is_empty}


def _polygons(area: BaseGeometry) -> MultiPolygon:
    parts = shapely.get_parts(shapely.get_parts(area))
    return MultiPolygon([part for part in parts if isinstance(part, Polygon) and part.area > 0])


def nearest_areas(
    x: NDArray[np.int32], y: NDArray[np.int32], edge: int, areas: MultiPolygon
) -> NDArray[np.int64]:
    """Return which of a class's areas each tile's centre lies in or is nearest to, ``(n,)``."""
    centres = shapely.points(x + edge / 2, y + edge / 2)
    return np.asarray(shapely.STRtree(list(areas.geoms)).nearest(centres), dtype=np.int64)


def union_areas(areas: Iterable[MultiPolygon]) -> MultiPolygon:
    """Return the union of areas."""
    union = shapely.union_all(list(areas))
    return union if isinstance(union, MultiPolygon) else MultiPolygon([union])


def _tissue_fraction(
    mask: TissueMask,
    area: MultiPolygon,
    x: NDArray[np.int32],
    y: NDArray[np.int32],
    edge: int,
    tissue: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Fraction of each tile's tissue that lies in an area, (n,); 0 where there is no tissue."""
    inside = np.where(tissue_inside(mask, area), Ground.TISSUE, Ground.GLASS).astype(np.uint8)
    part = TissueMask(inside, mask.region).fraction(x, y, edge).astype(np.float64)
    return np.divide(part, tissue, out=np.zeros_like(part), where=tissue > 0)


def tissue_inside(mask: TissueMask, area: MultiPolygon) -> NDArray[np.bool_]:
    """Tell which overview pixels are tissue with their centre in an area, (h, w)."""
    width, height = mask.cell
    rows, columns = np.nonzero(mask.tissue)
    x = mask.region.x + (columns + 0.5) * width
    y = mask.region.y + (rows + 0.5) * height
    inside = np.zeros(mask.ground.shape, dtype=bool)
    shapely.prepare(area)
    inside[rows, columns] = shapely.contains_xy(area, x, y)
    return inside


_ROUNDING: Final = 2
"""Tiles of one grid may differ by so many level pixels in width; see `TileGrid`."""


@dataclass(frozen=True)
class TileClasses:
    """The classes of some tiles of a slide.

    Attributes
    ----------
    names
        Classes: those drawn, in their order, then others that corrections name.
    labels
        ``(n,)``, indices into the names; `NO_CLASS`, or `CONFLICT` where two classes compete.
    drawn
        ``(n,)``, the same by the regions alone.
    corrections
        Those that are about one of these tiles, each with its row, in their order.
    """

    names: tuple[str, ...]
    labels: NDArray[np.int64]
    drawn: NDArray[np.int64]
    corrections: tuple[tuple[int, TileCorrection], ...] = ()

    @property
    def class_names(self) -> NDArray[np.object_]:
        """The class of each tile, ``(n,)``; empty if it has none."""
        names: NDArray[np.object_] = np.array([*self.names, ""], dtype=object)[
            np.where(self.labels < 0, len(self.names), self.labels)
        ]
        return names

    @property
    def reviewed(self) -> NDArray[np.bool_]:
        """Which tiles a correction gives a class, or none, ``(n,)``."""
        return self._marked(
            row for row, correction in self.corrections if correction.action != "exemplar"
        )

    @property
    def exemplars(self) -> NDArray[np.bool_]:
        """Which tiles are marked as exemplars, ``(n,)``; one without a class cannot be."""
        marked = self._marked(
            row for row, correction in self.corrections if correction.action == "exemplar"
        )
        marked_with_class: NDArray[np.bool_] = marked & (self.labels >= 0)
        return marked_with_class

    @property
    def corrected(self) -> NDArray[np.bool_]:
        """Which tiles have a class that is not that of their region, ``(n,)``."""
        differs: NDArray[np.bool_] = (self.labels >= 0) & (self.labels != self.drawn)
        return differs

    @property
    def is_annotated(self) -> NDArray[np.bool_]:
        """Which tiles were drawn on or corrected, also if they got no class by it, ``(n,)``."""
        annotated: NDArray[np.bool_] = (self.drawn != NO_CLASS) | self.reviewed
        return annotated

    def _marked(self, rows: Iterator[int]) -> NDArray[np.bool_]:
        marked = np.zeros(len(self.labels), dtype=bool)
        marked[list(rows)] = True
        return marked


def assign_classes(
    tiles: ScaleTiles,
    slide: str,
    regions: Mapping[str, MultiPolygon],
    mask: TissueMask,
    corrections: Sequence[TileCorrection] = (),
) -> TileClasses:
    """Return the class of each tile.

    A tile takes the class of the region that it lies in, as `label_tiles` has it. A correction of
    the tile goes before that: it gives another class, or none, which is not to be learnt from. Of
    two corrections the later one counts.

    Parameters
    ----------
    tiles
        Tiles of one scale.
    slide
        Quick hash of their slide.
    regions
        Area of each class, level-0 px.
    mask
        The slide's tissue.
    corrections
        Corrections of tiles of any slide and scale; those of other tiles are passed over.
    """
    drawn = label_tiles(tiles.x, tiles.y, tiles.grid.edge, regions, mask)
    rows = rows_at(tiles, slide, [correction.place for correction in corrections])
    pairs = zip(rows, corrections, strict=True)
    matched = tuple((row, correction) for row, correction in pairs if row is not None)
    new_names = (
        correction.class_name
        for _, correction in matched
        if correction.action == "class" and correction.class_name
    )
    names = tuple(dict.fromkeys([*regions, *new_names]))
    labels = drawn.copy()
    for row, correction in matched:
        if correction.action == "class" and correction.class_name:
            labels[row] = names.index(correction.class_name)
        elif correction.action != "exemplar":
            labels[row] = NO_CLASS
    return TileClasses(names, labels, drawn, matched)


def rows_at(tiles: ScaleTiles, slide: str, places: Sequence[TilePlace]) -> list[int | None]:
    """Return which of the tiles of a slide lies at each place, if any."""
    if not places:
        return []
    grid = tiles.grid
    corners = zip(tiles.x.tolist(), tiles.y.tolist(), strict=True)
    row_at = {corner: row for row, corner in enumerate(corners)}
    slack = _ROUNDING * grid.pixel

    def row_of(place: TilePlace) -> int | None:
        same = place.slide == slide and round(place.mpp, 4) == round(grid.spec.mpp, 4)
        if not same or abs(place.width - grid.edge) > slack:
            return None
        return row_at.get((place.x, place.y))

    return [row_of(place) for place in places]
