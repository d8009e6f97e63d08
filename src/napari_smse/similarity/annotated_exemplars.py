"""Exemplars from what was drawn on a scored slide: its embeddings are there already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon

from napari_smse.annotations.case_id import guess_case
from napari_smse.annotations.tile_labels import TileClasses, assign_classes, nearest_areas
from napari_smse.annotations.tile_notes import TileCorrection
from napari_smse.errors import BankError, QueryError
from napari_smse.scoring.tile_table import TileTable
from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.tiles import ScaleTiles, TissueMask

MAX_PER_CLASS: Final = 300
"""More tiles of a class add little: at most so many are taken, evenly spaced."""


class AnnotatedRows(NamedTuple):
    """Which tiles of a slide are annotated, and as what.

    Attributes
    ----------
    rows, labels
        ``(m,)`` each; the labels are indices into the classes.
    drawn
        Of each tile, which of the areas drawn of its class it is of; one that a correction gave its
        class is of none, and named by itself.
    classes
        Names.
    exemplar_rows
        Rows of tiles that are to be taken however many there are.
    classless
        ``(k,)``, rows of tiles that were drawn or corrected, but have no class: two compete, or
        they are not to be learnt from.
    """

    rows: NDArray[np.intp]
    labels: NDArray[np.int64]
    drawn: tuple[str, ...]
    classes: tuple[str, ...] = ()
    exemplar_rows: frozenset[int] = frozenset()
    classless: NDArray[np.intp] = np.empty(0, np.intp)

    def sample(self, max_per_class: int = MAX_PER_CLASS) -> AnnotatedRows:
        """Return so many tiles of a class at most, spread evenly, and all that are to be kept."""
        of_class = (np.flatnonzero(self.labels == label) for label in np.unique(self.labels))
        exemplar_rows = np.flatnonzero([row in self.exemplar_rows for row in self.rows.tolist()])
        spread = [_spread(rows, max_per_class) for rows in of_class]
        return self.take(np.unique(np.concatenate([exemplar_rows, *spread])))

    def take(self, chosen: NDArray[np.intp]) -> AnnotatedRows:
        """Return some of them, in this order."""
        drawn = tuple(self.drawn[row] for row in chosen)
        return self._replace(rows=self.rows[chosen], labels=self.labels[chosen], drawn=drawn)


def annotated_rows(
    tiles: TileTable,
    regions: Mapping[str, MultiPolygon],
    mask: TissueMask,
    *,
    slide: str = "",
    corrections: Sequence[TileCorrection] = (),
) -> AnnotatedRows:
    """Return which tiles have a class by regions or corrections, as fine-tuning takes them.

    Parameters
    ----------
    tiles
        Of the slide.
    regions
        What is drawn of each class, level-0 px.
    mask
        The slide's tissue: a tile takes the class that holds half of its tissue, see
        `napari_smse.annotations.tile_labels.assign_classes`.
    slide
        Quick hash of the slide, by which the corrections find their tiles.
    corrections
        What was said of single tiles.

    Raises
    ------
    QueryError
        Nothing is drawn, or no scored tile has a class by it.
    """
    if not regions and not any(correction.action == "class" for correction in corrections):
        raise QueryError("Nothing is drawn on this slide: draw regions with SMSE: Annotate.")
    found = _annotated(tiles, slide, regions, mask, corrections)
    if not len(found.rows):
        raise QueryError(
            "No scored tile has half of its tissue in a region: draw larger regions, on tissue "
            "that was scored."
        )
    return found


def exemplars_of(
    tiles: TileTable,
    found: AnnotatedRows,
    classes: tuple[str, ...],
    *,
    model: str,
    slide: str,
    name: str,
    case: str = "",
    thumbnails: NDArray[np.uint8] | None = None,
    appearances: NDArray[np.float32] | None = None,
) -> ExemplarBank:
    """Return tiles of a slide as exemplars.

    Parameters
    ----------
    tiles
        Of the slide.
    found
        Which of them, and their classes as indices into `classes`.
    classes
        Names.
    model
        sha256 of the weights that scored the slide.
    slide, name
        Its quick hash, and what it is called.
    case
        The case that it is of; by default guessed from its name.
    thumbnails
        ``(m, THUMBNAIL_PX, THUMBNAIL_PX, 3)``, pictures of these tiles; none by default.
    appearances
        ``(m, k)``, what these tiles look like; not known by default.

    Raises
    ------
    BankError
        There is not one thumbnail, or look, for each tile.
    """
    rows = found.rows
    for what, columns in (("pictures", thumbnails), ("looks", appearances)):
        if columns is not None and len(columns) != len(rows):
            raise BankError(f"There are {len(columns)} {what} of {len(rows)} tiles: give as many.")
    bank = ExemplarBank(
        tiles.embeddings[rows],
        found.labels,
        tiles.mpps[rows],
        classes,
        (case or guess_case(name),) * len(rows),
        (name,) * len(rows),
        model,
        (slide,) * len(rows),
        tiles.places[rows],
        thumbnails,
        drawn=found.drawn,
    )
    return bank if appearances is None else replace(bank, appearances=appearances)


def annotated_exemplars(
    tiles: TileTable,
    regions: Mapping[str, MultiPolygon],
    mask: TissueMask,
    *,
    model: str,
    slide: str,
    name: str,
    case: str = "",
    max_per_class: int = MAX_PER_CLASS,
    corrections: Sequence[TileCorrection] = (),
) -> ExemplarBank:
    """Return the tiles of a slide that have a class by regions or corrections, without pictures.

    Of a class, so many are taken at most.

    Raises
    ------
    QueryError
        Nothing is drawn, or no scored tile has a class by it.
    """
    found = annotated_rows(tiles, regions, mask, slide=slide, corrections=corrections).sample(
        max_per_class
    )
    return exemplars_of(tiles, found, found.classes, model=model, slide=slide, name=name, case=case)


def with_newer(
    bank: ExemplarBank, newer: ExemplarBank, drawn: ExemplarBank | None = None
) -> ExemplarBank:
    """Return a bank with newer exemplars in place of older ones of the same tiles.

    Parameters
    ----------
    bank, newer
        Exemplars.
    drawn
        All tiles that have a class now, of which the newer are some: older ones of these go, too.

    Raises
    ------
    BankError
        They are of another model.
    """
    now = newer if drawn is None else drawn
    known = {_place(now, row) for row in range(len(now)) if now.slides[row]}
    replaced = [row for row in range(len(bank)) if _place(bank, row) in known]
    return bank.without(replaced).joined(newer)


def without_tiles(
    bank: ExemplarBank, tiles: TileTable, slide: str, rows: NDArray[np.intp]
) -> ExemplarBank:
    """Return a bank without some tiles of a slide, given by its quick hash."""
    gone = {
        (slide, tuple(tiles.places[row].tolist()), round(float(tiles.mpps[row]), 4))
        for row in rows.tolist()
    }
    return bank.without([row for row in range(len(bank)) if _place(bank, row) in gone])


def _place(bank: ExemplarBank, row: int) -> tuple[str, tuple[int, ...], float]:
    return bank.slides[row], tuple(bank.places[row].tolist()), round(float(bank.mpps[row]), 4)


def _annotated(
    tiles: TileTable,
    slide: str,
    regions: Mapping[str, MultiPolygon],
    mask: TissueMask,
    corrections: Sequence[TileCorrection],
) -> AnnotatedRows:
    parts = [assign_classes(scale, slide, regions, mask, corrections) for scale in tiles.scales]
    classes = tuple(dict.fromkeys(name for part in parts for name in part.names))
    names = np.concatenate([np.empty(0, object), *(part.class_names for part in parts)])
    rows = np.flatnonzero(names != "")
    drawn = [
        area
        for scale, part in zip(tiles.scales, parts, strict=True)
        for area in _areas_of(scale, part, regions)
    ]
    exemplar_rows = np.flatnonzero(np.concatenate([[], *(part.exemplars for part in parts)]))
    decided = np.concatenate([[], *(part.is_annotated for part in parts)]).astype(bool)
    return AnnotatedRows(
        rows,
        np.array([classes.index(name) for name in names[rows]], np.int64),
        tuple(drawn[row] for row in rows.tolist()),
        classes,
        frozenset(exemplar_rows.tolist()),
        np.flatnonzero(decided & (names == "")),
    )


def _areas_of(
    scale: ScaleTiles, found: TileClasses, regions: Mapping[str, MultiPolygon]
) -> Iterator[str]:
    """Yield the name of the area that each tile of a scale is of; its own if it is of none."""
    names = [f"tile at {x}, {y}" for x, y in zip(scale.x, scale.y, strict=True)]
    for label, (name, area) in enumerate(regions.items()):
        own = np.flatnonzero((found.labels == label) & ~found.corrected)
        if len(own):
            known = [_area_name(name, geom) for geom in area.geoms]
            near = nearest_areas(scale.x[own], scale.y[own], scale.grid.edge, area)
            for row, one in zip(own.tolist(), near.tolist(), strict=True):
                names[row] = known[one]
    yield from names


def _area_name(class_name: str, area: Polygon) -> str:
    """Name an area by where it lies, so that another one that is drawn later has another name."""
    return f"{class_name} at {', '.join(f'{side:.0f}' for side in area.bounds)}"


def _spread(rows: NDArray[np.intp], max_per_class: int) -> NDArray[np.intp]:
    if len(rows) <= max_per_class:
        return rows
    return rows[np.linspace(0, len(rows) - 1, max_per_class).round().astype(np.intp)]
