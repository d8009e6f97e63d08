"""A query made of tiles: these to find, and those not to; how alike any tile is to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import QueryError
from napari_smse.scoring.tile_table import unit_length
from napari_smse.similarity.neighbours import distance_of

MAX_REPRESENTATIVES: Final = 8
_SAME: Final = 0.02
"""Tiles nearer to each other than this are the same but for how embeddings are rounded on disk."""

_ROWS: Final = 131_072


@dataclass(frozen=True)
class Query:
    """What is looked for, by at most `MAX_REPRESENTATIVES` tiles on either side.

    Attributes
    ----------
    like, unlike
        ``(k, d)`` float32, each of length 1: representatives of the tiles to find, and of those
        that are not meant; of the latter there may be none.
    model
        sha256 of the weights that made the embeddings.
    """

    like: NDArray[np.float32]
    unlike: NDArray[np.float32]
    model: str

    def distances(self, embeddings: NDArray[np.float32], model: str) -> NDArray[np.float32]:
        """Return how far each tile is from what is looked for.

        With d+ the distance of a tile to the nearest of `like` and d- that to the nearest of
        `unlike`, it is d+ where d+ < d-, and infinite elsewhere: a tile at least as near to a
        tile that is not meant is never found, however large the radius.

        Parameters
        ----------
        embeddings
            ``(n, d)``, each of length 1.
        model
            sha256 of the weights that made these.

        Returns
        -------
        NDArray
            ``(n,)`` float32, Euclidean: 0 to 2, or infinite.

        Raises
        ------
        QueryError
            They are of another model.
        """
        if model != self.model:
            raise QueryError(
                f"What is looked for was embedded by the model {self.model[:12]}, the slide by "
                f"{model[:12]}: embeddings of two models do not compare. Choose the tiles to look "
                "for again, on a slide that the same model scored."
            )
        near, far = np.empty((2, len(embeddings)), dtype=np.float32)
        both = np.concatenate([self.like, self.unlike])
        # One product, as reading the embeddings takes longer than multiplying them.
        for first in range(0, len(embeddings), _ROWS):
            part = slice(first, first + _ROWS)
            similar = both @ embeddings[part].T
            np.max(similar[: len(self.like)], axis=0, out=near[part])
            np.max(similar[len(self.like) :], axis=0, initial=-2, out=far[part])
        found = distance_of(near)
        found[near <= far] = np.inf
        return found


def make_query(
    like: NDArray[np.floating], unlike: NDArray[np.floating] | None, model: str
) -> Query:
    """Make a query of tiles to find, and of tiles that are not meant.

    Parameters
    ----------
    like, unlike
        ``(n, d)`` embeddings, each of length 1; `unlike` may be None or empty.
    model
        sha256 of the weights that made them.

    Raises
    ------
    QueryError
        There is no tile to find.
    """
    if not len(like):
        raise QueryError(
            "There is nothing to look for: draw around some tissue, or click a tile, as an example."
        )
    wanted, unwanted = (
        unit_length(like[:0] if examples is None else examples) for examples in (like, unlike)
    )
    return Query(wanted[representatives(wanted)], unwanted[representatives(unwanted)], model)


def representatives(
    embeddings: NDArray[np.floating], max_count: int = MAX_REPRESENTATIVES
) -> NDArray[np.intp]:
    """Choose tiles that stand for all of them.

    The first is the medoid, the tile whose distances to all others are the smallest (squared and
    summed; of embeddings of length 1 that is the one nearest to their mean). Each further one is
    the tile that is furthest from those chosen so far. So every kind of tissue in a region is
    looked for, also one that only a few of its tiles show, where a mean would lie between the kinds
    and be like none. What is in the region by mistake is looked for, too; it is taken out by
    saying that it is not meant. Of tiles alike the first is taken: the same tiles always make the
    same query.

    Parameters
    ----------
    embeddings
        ``(n, d)``, each of length 1.
    max_count
        How many at most; fewer where the rest are the same as one that was chosen.

    Returns
    -------
    NDArray
        ``(k,)`` rows, medoid first.
    """
    if not len(embeddings):
        return np.empty(0, dtype=np.intp)
    exact = unit_length(embeddings)
    chosen = [int((exact @ exact.mean(axis=0)).argmax())]
    distance = distance_of(exact @ exact[chosen[0]])
    while len(chosen) < max_count and distance.max() > _SAME:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, distance_of(exact @ exact[chosen[-1]]))
    return np.array(chosen, dtype=np.intp)
