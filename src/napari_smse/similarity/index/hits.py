"""Exact search over the shards of an index: the tiles nearest to any of some, best first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import QueryError
from napari_smse.similarity.index.shard import IndexedSlide, ShardTiles, SlideState
from napari_smse.similarity.neighbours import distance_of
from napari_smse.similarity.query import MAX_REPRESENTATIVES, representatives
from napari_smse.slides import Region

_CELLS: Final = 4_000_000
"""So many similarities are held at once."""


@dataclass(frozen=True)
class Hit:
    """A tile that was found.

    Attributes
    ----------
    distance
        Euclidean distance of its embedding to the nearest of those looked for: 0 to 2.
    region
        Where it lies, level-0 px.
    mpp
        Scale it was scored at, um/px.
    probability
        ``(classes,)``, in the order of its slide's classes.
    """

    distance: float
    region: Region
    mpp: float
    probability: NDArray[np.float32]


@dataclass(frozen=True)
class SlideHits:
    """What was found on a slide, nearest first."""

    slide: IndexedSlide
    state: SlideState
    hits: tuple[Hit, ...]

    def describe_class(self, hit: Hit) -> str:
        """Name the class that a hit most likely has, and how likely that is."""
        if len(self.slide.classes) == 1:
            return "no class"
        number = int(np.argmax(hit.probability))
        return f"{self.slide.classes[number]} {hit.probability[number]:.2f}"


@dataclass(frozen=True)
class SearchResult:
    """The answer of an index, the slide with the nearest tile first.

    Attributes
    ----------
    slides
        Slides with hits.
    tiles
        Number of tiles that were looked at.
    approximate
        Whether an approximate index gave the answer.
    warnings
        What a reader of the answer must know, one line each.
    """

    slides: tuple[SlideHits, ...]
    tiles: int
    approximate: bool
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class ExcludedRegion:
    """A piece of a slide whose tiles are no hits, as they are what is looked for.

    Attributes
    ----------
    quick_hash
        The slide.
    region
        Level-0 px; tiles whose middle lies in it are left out.
    """

    quick_hash: str
    region: Region

    def rows(self, places: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Tell which of some tiles are left out, ``(n,)``."""
        x, y, width, height = places.T
        across, down = x + width / 2, y + height / 2
        region = self.region
        inside = (region.x <= across) & (across < region.right)
        return np.asarray(inside & (region.y <= down) & (down < region.bottom))


class TopK:
    """The k nearest tiles of all shards seen so far.

    Parameters
    ----------
    queries
        ``(q, d)``, each of length 1.
    k
        How many tiles to keep.
    """

    def __init__(self, queries: NDArray[np.floating], k: int) -> None:
        self.queries = np.ascontiguousarray(queries, dtype=np.float32)
        self.k = k
        self._similar = np.empty(0, np.float32)
        self._places = np.empty((0, 2), np.intp)

    def look_at(
        self,
        shard: int,
        embeddings: NDArray[np.float32],
        first_row: int = 0,
        excluded: NDArray[np.bool_] | None = None,
    ) -> Iterator[int]:
        """Look at some tiles of a shard, and yield after each block how many it had.

        Parameters
        ----------
        shard
            Number of the shard.
        embeddings
            ``(n, d)``, each of length 1.
        first_row
            Row of the first of them in the shard.
        excluded
            ``(n,)``, those that are no hits.
        """
        step = max(1, _CELLS // len(self.queries))
        for first in range(0, len(embeddings), step):
            block = embeddings[first : first + step]
            similar = (self.queries @ block.T).max(axis=0)
            if excluded is not None:
                similar[excluded[first : first + step]] = -np.inf
            rows = self._most_similar_rows(similar)
            self.offer(shard, rows + first_row + first, similar[rows])
            yield len(block)

    def _most_similar_rows(self, similar: NDArray[np.float32]) -> NDArray[np.intp]:
        worst = self._similar[-1] if len(self._similar) == self.k else -np.inf
        rows = np.flatnonzero(similar > worst)
        if len(rows) <= self.k:
            return rows
        values = similar[rows]
        last = np.partition(values, -self.k)[-self.k]
        surely, alike = rows[values > last], rows[values == last]
        return np.concatenate([surely, alike[: self.k - len(surely)]])

    def offer(self, shard: int, rows: NDArray[np.integer], similar: NDArray[np.floating]) -> None:
        """Keep the most similar of some tiles of a shard and of those kept before."""
        places = np.stack([np.full(len(rows), shard), rows], axis=1)
        self._similar = np.concatenate([self._similar, similar.astype(np.float32)])
        self._places = np.concatenate([self._places, places])
        # Of those alike, the first comes first, so that an answer does not depend on the block.
        order = np.lexsort((*self._places.T[::-1], -self._similar))[: self.k]
        self._similar, self._places = self._similar[order], self._places[order]

    def of_shards(self) -> dict[int, list[tuple[int, float]]]:
        """Return rows and distances by shard; shards by their nearest, rows nearest first."""
        found: dict[int, list[tuple[int, float]]] = {}
        distances = distance_of(self._similar)
        for (shard, row), distance in zip(self._places.tolist(), distances.tolist(), strict=True):
            found.setdefault(shard, []).append((row, distance))
        return found


def representative_queries(
    queries: NDArray[np.floating], dimensions: int | None
) -> NDArray[np.float32]:
    """Return what to look for: each of length 1, and a few that stand for all if they are many.

    Raises
    ------
    QueryError
        There is none, or they are of another length than the embeddings searched.
    """
    exact = np.atleast_2d(np.asarray(queries, dtype=np.float32))
    if not exact.size:
        raise QueryError("There is nothing to look for: choose a region with scored tissue.")
    if dimensions is not None and exact.shape[1] != dimensions:
        raise QueryError(
            f"The tiles looked for have {exact.shape[1]} numbers each, those of the index "
            f"{dimensions}: they are of another model; score the slide with the index's model."
        )
    length = np.linalg.norm(exact, axis=1, keepdims=True)
    exact = np.asarray(exact / np.maximum(length, np.finfo(np.float32).tiny), dtype=np.float32)
    return exact if len(exact) <= MAX_REPRESENTATIVES else exact[representatives(exact)]


def hits_of(tiles: ShardTiles, rows: list[tuple[int, float]]) -> tuple[Hit, ...]:
    """Return some tiles of a slide, with their distances, as hits."""
    return tuple(
        Hit(distance, tiles.region(row), tiles.mpp_of(row), tiles.probability[row])
        for row, distance in rows
    )


def scale_warnings(slides: Mapping[str, IndexedSlide], mpp: float | None) -> Iterator[str]:
    """Name the slides that have no tile at the scale looked for."""
    if mpp is None:
        return
    without = [slide.name for slide in slides.values() if slide.rows_of(mpp) == slice(0, 0)]
    if without:
        named = ", ".join(sorted(without)[:3]) + (" and others" if len(without) > 3 else "")
        number = "1 slide is" if len(without) == 1 else f"{len(without)} slides are"
        yield f"{number} not indexed at {mpp:g} µm/px and could not be searched: {named}"


def state_warnings(found: SlideHits) -> Iterator[str]:
    """Tell that a slide with hits is no longer what was indexed."""
    if found.state is SlideState.CHANGED:
        yield (
            f"{found.slide.path} changed since it was indexed: its tiles may show something else; "
            "index it again"
        )
    if found.state is SlideState.GONE:
        yield (
            f"{found.slide.path} is gone: put it back, or index the slide from where it is now, "
            "to see its tiles"
        )
