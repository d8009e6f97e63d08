"""Groups of tiles that are alike: k-means on the sphere that embeddings lie on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import QueryError

_SAMPLE: Final = 20_000
_MOST_ROUNDS: Final = 50
_DRAWN: Final = 6
_AT_ONCE: Final = 50_000


@dataclass(frozen=True)
class Clusters:
    """Groups of embeddings, the largest first.

    Attributes
    ----------
    labels
        Number of each embedding's group, ``(n,)``.
    centres
        ``(k, d)`` float32, each of length 1. Fewer than asked for where fewer embeddings differ.
    """

    labels: NDArray[np.intp]
    centres: NDArray[np.float32]

    def __len__(self) -> int:
        """Number of groups."""
        return len(self.centres)


def find_clusters(
    embeddings: NDArray[np.float32], k: int, *, sample: int = _SAMPLE, seed: int = 0
) -> Clusters:
    """Divide embeddings into k groups; every one belongs to the centre it is nearest to.

    The same embeddings give the same groups. numpy does it in less time than scikit-learn takes to
    be imported.

    Parameters
    ----------
    embeddings
        ``(n, d)``, each of length 1.
    k
        How many groups, at least one.
    sample
        So many at most decide where the centres lie, evenly spaced.
    seed
        Of the first centres.

    Raises
    ------
    QueryError
        There is no embedding.
    """
    if not len(embeddings):
        raise QueryError("There are no scored tiles to group: score a slide first.")
    step = -(-len(embeddings) // sample)
    some = np.ascontiguousarray(embeddings[::step], dtype=np.float32)
    centres = _settled(some, _spread_out(some, k, np.random.default_rng(seed)))
    labels = _nearest(embeddings, centres)
    sizes = np.bincount(labels, minlength=len(centres))
    order = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]
    place = np.empty(len(centres), dtype=np.intp)
    place[order] = np.arange(len(order))
    return Clusters(place[labels], centres[order])


def _spread_out(some: NDArray[np.float32], k: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """First centres, each drawn the likelier the further it lies from those before (k-means++).

    Of a few that are drawn, the one is taken that leaves the least to the others.
    """
    rows = [int(rng.integers(len(some)))]
    off = _squared(some, some[rows])[:, 0]
    while len(rows) < k and off.max() > 1e-6:
        chances = off.astype(np.float64)
        drawn = rng.choice(len(some), size=_DRAWN, p=chances / chances.sum())
        left = np.minimum(off[:, None], _squared(some, some[drawn]))
        best = int(left.sum(axis=0).argmin())
        rows.append(int(drawn[best]))
        off = left[:, best]
    return some[rows]


def _settled(some: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.float32]:
    """Move the centres into the middle of what is nearest to them until nothing changes."""
    before = None
    for _ in range(_MOST_ROUNDS):
        labels = _nearest(some, centres)
        if before is not None and np.array_equal(labels, before):
            break
        before = labels
        sums = np.zeros_like(centres)
        for number in range(len(centres)):
            sums[number] = some[labels == number].sum(axis=0)
        length = np.linalg.norm(sums, axis=1, keepdims=True)
        # A group that lost all of its own stays where it was.
        centres = np.where(length > 1e-6, sums / np.maximum(length, 1e-6), centres)
    return centres


def _nearest(embeddings: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.intp]:
    labels = np.empty(len(embeddings), dtype=np.intp)
    for first in range(0, len(embeddings), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        labels[part] = (embeddings[part] @ centres.T).argmax(axis=1)
    return labels


def _squared(some: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared distances, ``(n, k)``, to centres, ``(k, d)``."""
    return np.asarray(np.maximum(0.0, 2.0 - 2.0 * (some @ centres.T)), dtype=np.float32)
