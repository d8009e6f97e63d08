"""How often the nearest neighbours of a tile predict its group, with an interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_smse.metrics.classification import balanced_accuracy
from napari_smse.metrics.estimate import Estimate
from napari_smse.metrics.summary import predictions_from_scores, with_interval
from napari_smse.similarity.neighbours import nearest

_AT_ONCE: Final = 512
_BLOCK: Final = 8
"""Edge of a block of neighbouring tiles, in tiles."""

_NEAREST: Final = 0.05
"""Tiles nearer than this all weigh the same."""


@dataclass(frozen=True)
class NeighbourAccuracy:
    """How often the nearest neighbours predict the group of a tile.

    Attributes
    ----------
    accuracy
        Balanced accuracy: the mean over the groups of the fraction of tiles predicted right.
    chance
        What guessing reaches: one over the number of groups.
    groups
        How many groups there are.
    tiles
        How many tiles it is of.
    low, high
        95 % interval, from drawing blocks of neighbouring tiles, which are alike; None where that
        cannot be told.
    """

    accuracy: float
    chance: float
    groups: int
    tiles: int = 0
    low: float | None = None
    high: float | None = None

    @property
    def above_chance(self) -> float:
        """0 where it is chance or worse, 1 where all are right."""
        return max(0.0, (self.accuracy - self.chance) / (1.0 - self.chance))

    @property
    def interval(self) -> str:
        """The interval in words, empty where there is none."""
        if self.low is None or self.high is None:
            return ""
        return f"{format_percent(self.low)} to {format_percent(self.high)}"


def neighbour_accuracy(
    embeddings: NDArray[np.float32],
    groups: NDArray[np.str_],
    in_large_groups: NDArray[np.bool_],
    excluded: Callable[[NDArray[np.intp], NDArray[np.intp]], NDArray[np.bool_]],
    blocks: Sequence[str],
    k: int,
) -> NeighbourAccuracy:
    """Return how often the nearest neighbours of tiles predict their group.

    Parameters
    ----------
    embeddings, groups
        ``(n, d)`` float32, each of length 1, and ``(n,)``.
    in_large_groups
        ``(n,)``, which tiles count.
    excluded
        Says which of some tiles may not vote for others, by their rows.
    blocks
        ``(n,)``, what is alike: the interval comes from drawing whole blocks.
    k
        How many neighbours.
    """
    rows = np.flatnonzero(in_large_groups)
    names, number = np.unique(groups[rows], return_inverse=True)
    of_group = np.eye(len(names), dtype=np.float32)[number]
    called = np.full(len(rows), -1)
    for first in range(0, len(rows), _AT_ONCE):
        part = slice(first, min(first + _AT_ONCE, len(rows)))
        some = rows[part]
        barred = excluded(some, rows)
        size = (~barred).astype(np.float32) @ of_group
        found = nearest(embeddings[some], embeddings[rows], k, excluded=barred)
        taken = np.isfinite(found.distances)
        # By nearness, as votes that tie would all go to one group.
        weight = np.where(taken, 1.0 / np.maximum(found.distances, _NEAREST), 0.0)
        votes = np.zeros((len(some), len(names)))
        for column in range(taken.shape[1]):
            voted = number[found.rows[:, column]]
            voter = np.arange(len(some))
            votes[voter, voted] += weight[:, column] / np.maximum(size[voter, voted], 1)
        called[part] = np.where(taken.any(axis=1), votes.argmax(axis=1), -1)
    known = np.flatnonzero(called >= 0)
    share = _balanced_accuracy(number[known], called[known], [blocks[row] for row in rows[known]])
    return NeighbourAccuracy(
        float("nan") if share.value is None else share.value,
        1.0 / len(names),
        len(names),
        len(known),
        share.low,
        share.high,
    )


def _balanced_accuracy(
    truth: NDArray[np.intp], called: NDArray[np.intp], blocks: Sequence[str]
) -> Estimate:
    """Return the mean over the groups that have tiles of the share predicted right."""
    if not len(truth):
        return Estimate(None)
    present, labels = np.unique(truth, return_inverse=True)
    right = called == truth
    # A call of a group that has no tile to predict is wrong as any other is.
    column = np.where(right, labels, (labels + 1) % max(2, len(present)))
    probabilities = np.eye(max(2, len(present)))[column][:, : max(1, len(present))]
    return with_interval(balanced_accuracy, predictions_from_scores(probabilities, labels, blocks))


def blocks_of(slide: NDArray[np.str_], places: ArrayLike | None) -> list[str]:
    """Name the block of neighbouring tiles that each tile is of; its own if places are unknown."""
    if places is None:
        return [str(row) for row in range(len(slide))]
    squares = np.floor(np.asarray(places, dtype=np.float64) / _BLOCK).astype(int)
    return [f"{name} {x} {y}" for name, (x, y) in zip(slide, squares.tolist(), strict=True)]


def format_percent(value: float) -> str:
    """Return ``92 %``."""
    return f"{value:.0%}".replace("%", "\N{NO-BREAK SPACE}%")
