"""Query strategy: uncertain tiles, far from each other, spread over the slides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from napari_smse.scoring.tile_table import TileTable
from napari_smse.similarity.neighbours import distance_of

_POOL: Final = 10
"""Of the most uncertain tiles, so many are looked at for each one to choose."""

_MOST_UNCERTAIN: Final = 0.25
"""Share of a slide's tiles that can count as uncertain, if it has more than a few."""

_AT_ONCE: Final = 1024
_TOUCHED: Final = 0.25
_LABELLED: Final = 0.5
_LEAST_TISSUE: Final = 0.5


@dataclass(frozen=True)
class UnlabelledPool:
    """The tiles of a slide, those of one scale, and which of them may be chosen.

    Attributes
    ----------
    embeddings
        ``(n, d)`` float32, each of length 1.
    probability
        ``(n, classes)`` float32, calibrated.
    places
        ``(n, 4)``: x, y, width, height, level-0 px.
    is_open
        ``(n,)``, which may be chosen.
    is_labelled
        ``(n,)``, which have a label already; what is chosen lies away from them.
    """

    embeddings: NDArray[np.float32]
    probability: NDArray[np.float32]
    places: NDArray[np.int32]
    is_open: NDArray[np.bool_]
    is_labelled: NDArray[np.bool_]

    def without_places(self, known: NDArray[np.integer]) -> UnlabelledPool:
        """Return them with the tiles at these places, ``(m, 4)``, labelled and not open."""
        taken = {tuple(place) for place in np.asarray(known).tolist()}
        found = np.array([tuple(place) in taken for place in self.places.tolist()], dtype=bool)
        return replace(self, is_open=self.is_open & ~found, is_labelled=self.is_labelled | found)


@dataclass(frozen=True)
class Suggestion:
    """A tile to label next.

    Attributes
    ----------
    slide, row
        Number of its slide, and its row among the slide's candidates.
    uncertainty
        0, sure, to 1, undecided.
    """

    slide: int
    row: int
    uncertainty: float


def unlabelled_pool(
    tiles: TileTable, scale: int, annotated: Sequence[BaseGeometry] = ()
) -> UnlabelledPool:
    """Return the tiles of one scale of a slide, with what is annotated closed.

    A tile that lies in what is annotated by half is labelled; by a quarter, it is no more asked
    for. Nor is one that is mostly glass.

    Parameters
    ----------
    tiles
        Of the slide.
    scale
        Number of the scale.
    annotated
        What is drawn, level-0 px.
    """
    rows = tiles.rows_of(scale)
    places = tiles.places[rows]
    covered = covered_share(places, annotated)
    is_open = (covered < _TOUCHED) & (tiles.scales[scale].tissue >= _LEAST_TISSUE)
    return UnlabelledPool(
        tiles.embeddings[rows], tiles.probability[rows], places, is_open, covered >= _LABELLED
    )


def covered_share(
    places: NDArray[np.integer], areas: Sequence[BaseGeometry]
) -> NDArray[np.float64]:
    """Return the share of each tile, ``(n, 4)``, that lies in some areas, ``(n,)``."""
    x, y, width, height = np.asarray(places, dtype=np.float64).reshape(-1, 4).T
    covered = np.zeros(len(x))
    whole = shapely.union_all(list(areas))
    if whole.is_empty or not len(x):
        return covered
    boxes = shapely.box(x, y, x + width, y + height)
    near = shapely.STRtree(boxes).query(whole, predicate="intersects")
    covered[near] = shapely.area(shapely.intersection(whole, boxes[near])) / (width * height)[near]
    return covered


def uncertainty_of(probability: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return how undecided a model is, ``(n,)``, of its calibrated probabilities ``(n, classes)``.

    Of two classes the entropy in bits, ``-p log2 p - (1 - p) log2 (1 - p)`` (Lewis and Gale, SIGIR
    1994: the nearer p is to 0.5, the larger); of more, ``1 - (p1 - p2)`` with the largest and the
    second largest (Scheffer, Decomain and Wrobel, IDA 2001). 0 is sure, 1 is undecided. A model
    that knows no classes, and so has a single one, is undecided of all.
    """
    found = np.asarray(probability, dtype=np.float64)
    if found.shape[1] == 1:
        return np.ones(len(found))
    if found.shape[1] == 2:
        p = np.clip(found, np.finfo(np.float64).tiny, 1.0)
        bits: NDArray[np.float64] = np.clip(-(p * np.log2(p)).sum(axis=1), 0.0, 1.0)
        return bits
    best = np.sort(found, axis=1)[:, -2:]
    margin: NDArray[np.float64] = np.clip(best[:, 1] - best[:, 0], 0.0, 1.0)
    return 1.0 - margin


def select_tiles(slides: Sequence[UnlabelledPool], count: int) -> list[Suggestion]:
    """Return the tiles to label next, in the order to label them in.

    The slides take turns. On its turn, a slide gives of its most uncertain tiles the one that is
    furthest, in the embedding, from all that is labelled or chosen on any slide: the greedy
    solution of the k-centre problem (Gonzalez, 1985), as Sener and Savarese (ICLR 2018) use it to
    choose what to label. With nothing to be far from, it is the most uncertain one. Tiles that
    overlap a chosen one are passed over. The same tiles always give the same queue.

    Parameters
    ----------
    slides
        Scored by one model.
    count
        How many at most.
    """
    turns = [_Turns(number, pool, count, len(slides)) for number, pool in enumerate(slides)]
    for pool in slides:
        known = pool.embeddings[pool.is_labelled]
        for slide in turns:
            slide.keep_away_from(known)
    chosen: list[Suggestion] = []
    while len(chosen) < count and any(slide.has_more for slide in turns):
        for slide in turns:
            if len(chosen) == count or not slide.has_more:
                continue
            found, embedding = slide.take()
            chosen.append(found)
            for other in turns:
                other.keep_away_from(embedding[None])
    return chosen


class _Turns:
    """The uncertain tiles of a slide that are still to be had, and how far off each is."""

    def __init__(self, number: int, slide: UnlabelledPool, count: int, slides: int) -> None:
        self._number, self._slide = number, slide
        uncertain = uncertainty_of(slide.probability)
        rows = np.flatnonzero(slide.is_open)
        # Stable, so that of tiles alike the first comes first.
        rows = rows[np.argsort(-uncertain[rows], kind="stable")]
        turns = -(-count // max(1, slides))
        quota = max(_POOL, int(_MOST_UNCERTAIN * len(rows)))
        size = max(turns, min(_POOL * turns, quota))
        if slide.probability.shape[1] == 1:
            # None is more uncertain than another: all there are, or the first rows would be it.
            size = len(rows)
        self._rows, self._spare = rows[:size], rows[size:]
        self._uncertain = uncertain
        self._away: list[NDArray[np.float32]] = []
        self._off = np.full(len(self._rows), np.inf)

    @property
    def has_more(self) -> bool:
        return bool(len(self._rows)) or bool(len(self._spare))

    def keep_away_from(self, embeddings: NDArray[np.float32]) -> None:
        if len(embeddings):
            self._away.append(embeddings)
            self._off = np.minimum(self._off, self._distance(self._rows, embeddings))

    def take(self) -> tuple[Suggestion, NDArray[np.float32]]:
        if not len(self._rows):
            # All that was uncertain is chosen or overlaps what is: the others are better than none.
            self._rows, self._spare = self._spare, self._spare[:0]
            self._off = np.full(len(self._rows), np.inf)
            for known in self._away:
                self._off = np.minimum(self._off, self._distance(self._rows, known))
        row = int(self._rows[self._off.argmax()])
        is_apart = ~overlapping(self._slide.places[self._rows], self._slide.places[row])
        self._rows, self._off = self._rows[is_apart], self._off[is_apart]
        self._spare = self._spare[
            ~overlapping(self._slide.places[self._spare], self._slide.places[row])
        ]
        found = Suggestion(self._number, row, float(self._uncertain[row]))
        return found, self._slide.embeddings[row]

    def _distance(self, rows: NDArray[np.intp], known: NDArray[np.float32]) -> NDArray[np.float32]:
        if not len(rows):
            return np.empty(0, dtype=np.float32)
        similar = np.full(len(rows), -np.inf, dtype=np.float32)
        for first in range(0, len(known), _AT_ONCE):
            part = self._slide.embeddings[rows] @ known[first : first + _AT_ONCE].T
            similar = np.maximum(similar, part.max(axis=1))
        return distance_of(similar)


def overlapping(places: NDArray[np.integer], place: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Tell which tiles, ``(n, 4)``, share pixels with one, ``(4,)``."""
    x, y, width, height = np.asarray(places).reshape(-1, 4).T
    left, top, across, down = place
    beside = (x >= left + across) | (left >= x + width)
    above = (y >= top + down) | (top >= y + height)
    found: NDArray[np.bool_] = ~(beside | above)
    return found
