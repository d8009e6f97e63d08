"""Tiles that are reference tiles themselves: neither they nor what overlaps them may be evidence.

Else a tile that was added would lie nearest to itself, and its class would follow from nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.similarity.exemplar_classifier import Method, case_means, unit_rows
from napari_smse.slides import Region
from napari_smse.tiles.places import overlaps


def own_exemplars(bank: ExemplarBank, slide: str, region: Region) -> NDArray[np.intp]:
    """Return the rows of the exemplars that show tissue of a tile: of its slide, overlapping it.

    Parameters
    ----------
    bank
        Exemplars.
    slide
        Quick hash of the tile's slide; of no slide (empty) there are none.
    region
        Of the tile, level-0 px.
    """
    if not slide:
        return np.empty(0, np.intp)
    place = (region.x, region.y, region.width, region.height)
    rows = np.flatnonzero(np.array(bank.slides, dtype=str) == slide)
    return rows[overlaps(place, bank.places[rows])]


def tiles_with_own(
    bank: ExemplarBank, slide: str, places: NDArray[np.int32]
) -> dict[int, NDArray[np.intp]]:
    """Return, of those tiles ``(n, 4)`` of a slide that overlap exemplars, which ones these are."""
    found: dict[int, list[int]] = {}
    if slide:
        for row in np.flatnonzero(np.array(bank.slides, dtype=str) == slide).tolist():
            for tile in np.flatnonzero(overlaps(bank.places[row], places)).tolist():
                found.setdefault(tile, []).append(row)
    return {tile: np.array(rows, dtype=np.intp) for tile, rows in found.items()}


def similar_without_own(
    embeddings: NDArray[np.float32],
    bank: ExemplarBank,
    own: dict[int, NDArray[np.intp]],
    method: Method,
) -> NDArray[np.float32]:
    """Return the inner products of tiles with the classes of a bank, without what is their own.

    Parameters
    ----------
    embeddings
        ``(n, d)`` of all tiles of a slide, each of length 1.
    bank
        Of the same model.
    own
        Which exemplars are left out for which tile.
    method
        What the distance to a class is taken to.

    Returns
    -------
    NDArray[np.float32]
        ``(len(own), classes)``, in the order of `own`; -inf for a class of which nothing is left.
    """
    tiles = embeddings[list(own)]
    if method == "nearest":
        return _nearest_without(tiles, bank, list(own.values()))
    return _prototypes_without(tiles, bank, list(own.values()))


def _nearest_without(
    tiles: NDArray[np.float32], bank: ExemplarBank, left_out: list[NDArray[np.intp]]
) -> NDArray[np.float32]:
    similar = tiles @ bank.embeddings.T
    for number, rows in enumerate(left_out):
        similar[number, rows] = -np.inf
    found = np.full((len(tiles), len(bank.classes)), -np.inf, np.float32)
    for label in np.unique(bank.labels):
        found[:, label] = similar[:, bank.labels == label].max(axis=1)
    return found


def _prototypes_without(
    tiles: NDArray[np.float32], bank: ExemplarBank, left_out: list[NDArray[np.intp]]
) -> NDArray[np.float32]:
    means, of_class, group = case_means(bank)
    sums = np.zeros((len(bank.classes), bank.embeddings.shape[1]))
    np.add.at(sums, of_class, means)
    counts = np.bincount(group, minlength=len(means))
    of_label = np.bincount(bank.labels, minlength=len(bank.classes))
    found = np.empty((len(tiles), len(bank.classes)), np.float32)
    for number, rows in enumerate(left_out):
        without = sums.copy()
        for case in np.unique(group[rows]).tolist():
            gone = rows[group[rows] == case]
            rest = counts[case] - len(gone)
            mean = means[case] * counts[case] - bank.embeddings[gone].sum(axis=0, dtype=np.float64)
            without[of_class[case]] += (mean / rest if rest else 0.0) - means[case]
        # What rounding leaves of a class of which nothing is left is no direction.
        without[of_label == np.bincount(bank.labels[rows], minlength=len(of_label))] = 0.0
        found[number] = unit_rows(without) @ tiles[number]
    return np.where(np.isnan(found), -np.inf, found).astype(np.float32)
