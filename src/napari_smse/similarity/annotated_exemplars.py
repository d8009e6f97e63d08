"""Exemplars from what was drawn on a scored slide: its embeddings are there already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon

from napari_smse.errors import BankError, QueryError
from napari_smse.similarity.bank import ExemplarBank
from napari_smse.similarity.slide_tiles import SlideTiles
from napari_smse.tiles import TissueMask
from napari_smse.tiles.region_tiles import label_tiles, nearest_areas

MOST_A_CLASS: Final = 300
"""More tiles of a class say little more: so many are taken, spread evenly over them."""


class AnnotatedRows(NamedTuple):
    """Which tiles of a slide are annotated, and as what.

    Attributes
    ----------
    rows, labels
        ``(m,)`` each; the labels are indices into the regions.
    drawn
        Of each tile, which of the areas drawn of its class it is of.
    """

    rows: NDArray[np.intp]
    labels: NDArray[np.int64]
    drawn: tuple[str, ...]

    def some(self, most: int = MOST_A_CLASS) -> AnnotatedRows:
        """Return so many tiles of a class at most, spread evenly."""
        of_class = (np.flatnonzero(self.labels == label) for label in np.unique(self.labels))
        return self.take(np.sort(np.concatenate([_spread(one, most) for one in of_class])))

    def take(self, chosen: NDArray[np.intp]) -> AnnotatedRows:
        """Return some of them, in this order."""
        drawn = tuple(self.drawn[one] for one in chosen)
        return AnnotatedRows(self.rows[chosen], self.labels[chosen], drawn)


def annotated_rows(
    tiles: SlideTiles,
    regions: Mapping[str, MultiPolygon],
    mask: TissueMask,
) -> AnnotatedRows:
    """Return which tiles lie in regions, and their classes, as fine-tuning takes them.

    Parameters
    ----------
    tiles
        Of the slide.
    regions
        What is drawn of each class, level-0 px.
    mask
        The slide's tissue: a tile takes the class that holds half of its tissue, see
        `napari_smse.tiles.region_tiles.label_tiles`.

    Raises
    ------
    QueryError
        Nothing is drawn, or no scored tile lies in it.
    """
    if not regions:
        raise QueryError("Nothing is drawn on this slide: draw regions with SMSE: Annotate.")
    found = _annotated(tiles, regions, mask)
    if not len(found.rows):
        raise QueryError(
            "No scored tile has half of its tissue in a region: draw larger regions, on tissue "
            "that was scored."
        )
    return found


def exemplars_of(
    tiles: SlideTiles,
    found: AnnotatedRows,
    classes: tuple[str, ...],
    *,
    model: str,
    slide: str,
    name: str,
    thumbnails: NDArray[np.uint8] | None = None,
    looks: NDArray[np.float32] | None = None,
) -> ExemplarBank:
    """Return tiles of a slide as exemplars; the slide is their case.

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
    thumbnails
        ``(m, THUMBNAIL_PX, THUMBNAIL_PX, 3)``, pictures of these tiles; none by default.
    looks
        ``(m, k)``, what these tiles look like; not known by default.

    Raises
    ------
    BankError
        There is not one thumbnail, or look, for each tile.
    """
    rows = found.rows
    for what, given in (("pictures", thumbnails), ("looks", looks)):
        if given is not None and len(given) != len(rows):
            raise BankError(f"There are {len(given)} {what} of {len(rows)} tiles: give as many.")
    bank = ExemplarBank(
        tiles.embeddings[rows],
        found.labels,
        tiles.mpps[rows],
        classes,
        (name,) * len(rows),
        (name,) * len(rows),
        model,
        (slide,) * len(rows),
        tiles.places[rows],
        thumbnails,
        drawn=found.drawn,
    )
    return bank if looks is None else replace(bank, looks=looks)


def annotated_exemplars(
    tiles: SlideTiles,
    regions: Mapping[str, MultiPolygon],
    mask: TissueMask,
    *,
    model: str,
    slide: str,
    name: str,
    most: int = MOST_A_CLASS,
) -> ExemplarBank:
    """Return the tiles of a slide that lie in regions as exemplars, without pictures.

    Of a class, so many are taken at most.

    Raises
    ------
    QueryError
        Nothing is drawn, or no scored tile lies in it.
    """
    found = annotated_rows(tiles, regions, mask).some(most)
    return exemplars_of(tiles, found, tuple(regions), model=model, slide=slide, name=name)


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


def _place(bank: ExemplarBank, row: int) -> tuple[str, tuple[int, ...], float]:
    return bank.slides[row], tuple(bank.places[row].tolist()), round(float(bank.mpps[row]), 4)


def _annotated(
    tiles: SlideTiles, regions: Mapping[str, MultiPolygon], mask: TissueMask
) -> AnnotatedRows:
    rows: list[int] = []
    labels: list[int] = []
    drawn: list[str] = []
    for number, scale in enumerate(tiles.scales):
        first, edge = tiles.rows_of(number).start, scale.grid.edge
        label = label_tiles(scale.x, scale.y, edge, regions, mask)
        for row, (name, area) in enumerate(regions.items()):
            own = np.flatnonzero(label == row)
            if len(own):
                rows += (first + own).tolist()
                labels += [row] * len(own)
                names = [_area_name(name, one) for one in area.geoms]
                areas = nearest_areas(scale.x[own], scale.y[own], edge, area)
                drawn += [names[one] for one in areas.tolist()]
    order = np.argsort(rows)
    found = AnnotatedRows(np.array(rows, np.intp), np.array(labels, np.int64), tuple(drawn))
    return found.take(order)


def _area_name(class_name: str, area: Polygon) -> str:
    """Name an area by where it lies, so that another one that is drawn later has another name."""
    return f"{class_name} at {', '.join(f'{side:.0f}' for side in area.bounds)}"


def _spread(rows: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).round().astype(np.intp)]
