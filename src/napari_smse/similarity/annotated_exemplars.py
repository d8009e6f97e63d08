"""Exemplars from what was drawn on a scored slide: its embeddings are there already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon

from napari_smse.errors import BankError, QueryError
from napari_smse.similarity.bank import ExemplarBank
from napari_smse.similarity.slide_tiles import SlideTiles

NO_CLASS: Final = -1
MOST_A_CLASS: Final = 300
"""More tiles of a class say little more: so many are taken, spread evenly over them."""


def annotated_rows(
    tiles: SlideTiles,
    regions: Mapping[str, MultiPolygon | Polygon],
    most: int = MOST_A_CLASS,
) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Return which tiles lie in regions, and their classes.

    A tile takes the class of the region that its middle lies in; none if regions of two classes
    overlap there.

    Parameters
    ----------
    tiles
        Of the slide.
    regions
        What is drawn of each class, level-0 px.
    most
        So many tiles of a class at most, spread evenly.

    Returns
    -------
    rows, labels
        ``(m,)`` each; the labels are indices into the regions.

    Raises
    ------
    QueryError
        Nothing is drawn, or no middle of a scored tile lies in it.
    """
    if not regions:
        raise QueryError("Nothing is drawn on this slide: draw regions with SMSE: Annotate.")
    label = _labels(tiles, regions)
    found = [_spread(np.flatnonzero(label == number), most) for number in range(len(regions))]
    rows = np.sort(np.concatenate(found))
    if not len(rows):
        raise QueryError(
            "No scored tile has its middle in a region: draw larger regions, on tissue that was "
            "scored."
        )
    return rows, label[rows]


def exemplars_of(
    tiles: SlideTiles,
    rows: NDArray[np.intp],
    labels: NDArray[np.int64],
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
    rows, labels
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
    for what, given in (("pictures", thumbnails), ("looks", looks)):
        if given is not None and len(given) != len(rows):
            raise BankError(f"There are {len(given)} {what} of {len(rows)} tiles: give as many.")
    bank = ExemplarBank(
        tiles.embeddings[rows],
        np.asarray(labels, dtype=np.int64),
        tiles.mpps[rows],
        classes,
        (name,) * len(rows),
        (name,) * len(rows),
        model,
        (slide,) * len(rows),
        tiles.places[rows],
        thumbnails,
    )
    return bank if looks is None else replace(bank, looks=looks)


def annotated_exemplars(
    tiles: SlideTiles,
    regions: Mapping[str, MultiPolygon | Polygon],
    *,
    model: str,
    slide: str,
    name: str,
    most: int = MOST_A_CLASS,
) -> ExemplarBank:
    """Return the tiles of a slide that lie in regions as exemplars, without pictures.

    Raises
    ------
    QueryError
        Nothing is drawn, or no middle of a scored tile lies in it.
    """
    rows, labels = annotated_rows(tiles, regions, most)
    return exemplars_of(tiles, rows, labels, tuple(regions), model=model, slide=slide, name=name)


def with_newer(bank: ExemplarBank, newer: ExemplarBank) -> ExemplarBank:
    """Return a bank with newer exemplars; a tile that it holds already takes the newer class.

    Raises
    ------
    BankError
        They are of another model.
    """
    known = {_place(newer, row) for row in range(len(newer)) if newer.slides[row]}
    replaced = [row for row in range(len(bank)) if _place(bank, row) in known]
    return bank.without(replaced).joined(newer)


def _place(bank: ExemplarBank, row: int) -> tuple[str, tuple[int, ...], float]:
    return bank.slides[row], tuple(bank.places[row].tolist()), round(float(bank.mpps[row]), 4)


def _labels(tiles: SlideTiles, regions: Mapping[str, MultiPolygon | Polygon]) -> NDArray[np.int64]:
    left, top, width, height = tiles.places.T
    x, y = left + width / 2, top + height / 2
    inside = np.stack([_inside(area, x, y) for area in regions.values()])
    label = inside.argmax(axis=0)
    return np.where(inside.sum(axis=0) == 1, label, NO_CLASS).astype(np.int64)


def _inside(
    area: MultiPolygon | Polygon, x: NDArray[np.floating], y: NDArray[np.floating]
) -> NDArray[np.bool_]:
    shapely.prepare(area)
    return np.asarray(shapely.contains_xy(area, x, y), dtype=bool)


def _spread(rows: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).round().astype(np.intp)]
