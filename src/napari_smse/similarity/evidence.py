"""Why a tile is called what it is called: the reference tiles most like it, and their vote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.scoring.tile_table import TileTable
from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.similarity.leave_one_out import own_exemplars
from napari_smse.similarity.neighbours import nearest
from napari_smse.tiles.places import one_per_place

SIMILAR_SCALE: Final = 1.5
"""Scales are alike whose um/px differ by no more than this factor."""

_LEAST_DISTANCE: Final = 0.01
"""Nearer exemplars weigh no more: float16 does not tell them apart."""


@dataclass(frozen=True)
class Neighbour:
    """An exemplar, and how far a tile lies from it.

    Attributes
    ----------
    row
        In its bank.
    class_name, case, source, mpp
        What the bank says of it.
    distance
        Euclidean, between embeddings of length 1: 0 to 2.
    """

    row: int
    class_name: str
    case: str
    source: str
    mpp: float
    distance: float


@dataclass(frozen=True)
class Evidence:
    """The exemplars nearest to a tile, and how they vote.

    Attributes
    ----------
    nearest
        Nearest first; empty if there is nothing to compare with.
    shares
        Share of the vote by class, of all classes of the bank. An exemplar at distance d weighs
        1 / max(d, 0.01); a class's share is the weight of its exemplars among the nearest, divided
        by the weight of them all. They add up to 1, or are all 0 if there is no exemplar.
    own
        Classes of the exemplars that were left out, as they show the tile's own tissue.
    """

    nearest: tuple[Neighbour, ...]
    shares: Mapping[str, float]
    own: tuple[str, ...] = ()

    @property
    def called(self) -> str:
        """Class with the largest share, the first of those alike; empty without exemplars."""
        return max(self.shares, key=lambda name: self.shares[name]) if self.nearest else ""

    @property
    def distance(self) -> float:
        """To the nearest; infinite without exemplars."""
        return self.nearest[0].distance if self.nearest else float("inf")

    def count(self, class_name: str) -> int:
        """How many of the nearest are of a class."""
        return sum(neighbour.class_name == class_name for neighbour in self.nearest)


@dataclass(frozen=True)
class TileEvidence:
    """A tile of a slide, the class head's probabilities, and the evidence.

    Attributes
    ----------
    row
        Among the slide's tiles.
    mpp
        Scale of the tile, um/px.
    probability
        By class, as the run scored it; empty if the model knows no classes.
    evidence
        What it is like.
    """

    row: int
    mpp: float
    probability: Mapping[str, float]
    evidence: Evidence


def evidence_of(
    embedding: NDArray[np.floating],
    bank: ExemplarBank,
    k: int = 5,
    *,
    mpp: float | None = None,
    own: NDArray[np.intp] | None = None,
) -> Evidence:
    """Return the exemplars nearest to a tile, and how they vote.

    Parameters
    ----------
    embedding
        ``(d,)`` of length 1, by the bank's model.
    bank
        What to compare with.
    k
        How many exemplars.
    mpp
        Only those of about this scale, um/px; of any scale by default.
    own
        Rows of exemplars that show the tile's own tissue, and are left out.
    """
    rows = np.arange(len(bank)) if mpp is None else of_similar_scale(bank, mpp)
    own = np.empty(0, np.intp) if own is None else own
    rows = np.setdiff1d(rows, own)
    known = tuple(
        _known(bank, row, distance)
        for row, distance in _nearest_places(np.asarray(embedding), bank, rows, max(0, k))
    )
    classes = dict.fromkeys(bank.class_name(row) for row in own.tolist())
    return Evidence(known, _vote(known, bank.classes), tuple(classes))


def evidence_at(
    tiles: TileTable,
    bank: ExemplarBank,
    x: float,
    y: float,
    k: int = 5,
    *,
    similar_scale: bool = False,
    slide: str = "",
) -> list[TileEvidence]:
    """Return the evidence at a level-0 point: of each scale's tile there, finest first.

    Parameters
    ----------
    tiles
        Of the slide.
    bank
        Of the model that scored it.
    x, y
        The point.
    k
        How many exemplars for each tile.
    similar_scale
        Compare a tile only with exemplars of about its own scale.
    slide
        Quick hash of the slide: exemplars that were cut from it where the tile lies are left out,
        as they would match themselves.
    """
    return [
        evidence_of_row(tiles, bank, row, k, similar_scale=similar_scale, slide=slide)
        for row in tiles.at(x, y)
    ]


def evidence_of_row(
    tiles: TileTable,
    bank: ExemplarBank,
    row: int,
    k: int = 5,
    *,
    similar_scale: bool = False,
    slide: str = "",
) -> TileEvidence:
    """Return the evidence for one of a slide's tiles; see `evidence_at`."""
    mpp = float(tiles.mpps[row])
    own = own_exemplars(bank, slide, tiles.region(row))
    scale = mpp if similar_scale else None
    found = evidence_of(tiles.embeddings[row], bank, k, mpp=scale, own=own)
    # A single class is that of all tiles, by a model that knows none.
    classes = tiles.classes if len(tiles.classes) > 1 else ()
    probability = dict(zip(classes, tiles.probability[row].tolist(), strict=False))
    return TileEvidence(row, mpp, probability, found)


def of_similar_scale(bank: ExemplarBank, mpp: float) -> NDArray[np.intp]:
    """Return the rows of the exemplars of about this scale."""
    apart = np.abs(np.log(bank.mpps / mpp))
    # What is stored in float32 may lie a little beyond.
    return np.flatnonzero(apart <= np.log(SIMILAR_SCALE) + 1e-6)


def _nearest_places(
    embedding: NDArray[np.floating], bank: ExemplarBank, rows: NDArray[np.intp], k: int
) -> list[tuple[int, float]]:
    """Return the nearest of some exemplars and how far they are, of each place one.

    Tiles of two scales that were added at one place are one piece of tissue, with one vote.
    """
    for number in dict.fromkeys((min(4 * k, len(rows)), len(rows))):
        found = nearest(embedding[np.newaxis], bank.embeddings[rows], number)
        near, distances = rows[found.rows[0]], found.distances[0]
        slides = [bank.slides[row] for row in near.tolist()]
        first = one_per_place(slides, bank.places[near], range(len(near)))[:k]
        if len(first) == k:
            break
    return [(int(near[one]), float(distances[one])) for one in first.tolist()]


def _known(bank: ExemplarBank, row: int, distance: float) -> Neighbour:
    return Neighbour(
        row,
        bank.class_name(row),
        bank.cases[row],
        bank.sources[row],
        float(bank.mpps[row]),
        distance,
    )


def _vote(known: tuple[Neighbour, ...], classes: tuple[str, ...]) -> dict[str, float]:
    weights = [1.0 / max(neighbour.distance, _LEAST_DISTANCE) for neighbour in known]
    shares = dict.fromkeys(classes, 0.0)
    for neighbour, weight in zip(known, weights, strict=True):
        shares[neighbour.class_name] += weight / sum(weights)
    return shares
