"""Which embeddings lie nearest to some: exact, in blocks that stay in the processor's cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_CELLS: Final = 4_000_000
"""So many similarities are held at once."""


@dataclass(frozen=True)
class Neighbours:
    """The nearest embeddings of each query, nearest first.

    Attributes
    ----------
    rows
        ``(q, k)`` intp, rows of what was searched.
    distances
        ``(q, k)`` float32, Euclidean between embeddings of length 1: 0 to 2. Infinite where fewer
        than k could be taken; the row then means nothing.
    """

    rows: NDArray[np.intp]
    distances: NDArray[np.float32]


def nearest(
    queries: NDArray[np.floating],
    among: NDArray[np.float32],
    k: int,
    *,
    excluded: NDArray[np.bool_] | None = None,
) -> Neighbours:
    """Return the nearest of some embeddings to each query.

    Parameters
    ----------
    queries
        ``(q, d)``, each of length 1.
    among
        ``(n, d)``, each of length 1.
    k
        How many; fewer where there are not so many.
    excluded
        ``(q, n)``, what may not be a query's neighbour, such as tiles of its own case.
    """
    k = max(0, min(k, len(among)))
    parts = []
    for part, similar in _similarities(queries, among):
        if excluded is not None:
            similar = np.where(excluded[part], -np.inf, similar)
        parts.append(_best(similar, k))
    rows, best = zip(*parts, strict=True) if parts else ([], [])
    empty = np.empty((0, k))
    return Neighbours(
        np.concatenate([empty.astype(np.intp), *rows]),
        distance_of(np.concatenate([empty.astype(np.float32), *best])),
    )


def nearest_distance(
    queries: NDArray[np.floating], among: NDArray[np.float32], k: int = 1
) -> NDArray[np.float32]:
    """Return the distance of each query, ``(q, d)``, to its k-th nearest of some, ``(q,)``.

    With fewer than k, to the furthest of them; with none, infinite.
    """
    if not len(among):
        return np.full(len(queries), np.inf, dtype=np.float32)
    furthest: NDArray[np.float32] = nearest(queries, among, k).distances[:, -1]
    return furthest


def distance_of(similarity: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the Euclidean distance of embeddings of length 1 with this inner product."""
    with np.errstate(invalid="ignore"):
        distance = np.sqrt(np.maximum(0.0, 2.0 - 2.0 * similarity))
    return np.asarray(distance, dtype=np.float32)


def similarity_within(distance: float) -> float:
    """Return the inner product of embeddings of length 1 that lie this far apart."""
    return 1.0 - distance * distance / 2.0


def _similarities(
    queries: NDArray[np.floating], among: NDArray[np.float32]
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    step = max(1, _CELLS // max(1, len(among)))
    for first in range(0, len(queries), step):
        part = slice(first, min(first + step, len(queries)))
        yield part, np.asarray(queries[part], dtype=np.float32) @ among.T


def _best(similar: NDArray[np.float32], k: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the columns of the k largest of each row, largest first, and their values.

    Of those alike, the first comes first, so that an answer does not depend on the block.
    """
    count = similar.shape[1]
    if k < count:
        columns = (
            np.argpartition(similar, count - k, axis=1)[:, count - k :] if k else _none(similar)
        )
        _take_first_of_ties(similar, columns)
    else:
        columns = np.broadcast_to(np.arange(count), similar.shape)
    values = np.take_along_axis(similar, columns, axis=1)
    order = np.lexsort((columns, -values), axis=1)
    return np.take_along_axis(columns, order, axis=1), np.take_along_axis(values, order, axis=1)


def _none(similar: NDArray[np.float32]) -> NDArray[np.intp]:
    return np.empty((len(similar), 0), dtype=np.intp)


def _take_first_of_ties(similar: NDArray[np.float32], columns: NDArray[np.intp]) -> None:
    """Where more are alike at the end than there is room for, take the first of them."""
    if not columns.shape[1]:
        return
    last = np.take_along_axis(similar, columns, axis=1).min(axis=1)
    crowded = np.count_nonzero(similar >= last[:, np.newaxis], axis=1) > columns.shape[1]
    for row in np.flatnonzero(crowded):
        columns[row] = np.argsort(-similar[row], kind="stable")[: columns.shape[1]]
