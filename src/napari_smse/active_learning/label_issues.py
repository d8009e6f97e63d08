"""Labelled tiles whose neighbours in the embedding are of other classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_smse.similarity.neighbours import Neighbours, nearest

_AT_ONCE: Final = 512
_NEAREST: Final = 0.05
"""Tiles nearer than this all weigh the same."""


@dataclass(frozen=True)
class LabelIssues:
    """Labels that their neighbours contradict.

    Attributes
    ----------
    score
        ``(n,)`` float32: share of the neighbours, weighted by nearness, that is of other classes;
        0 is no doubt. NaN where neighbours cannot tell.
    suggested
        ``(n,)`` intp: class that weighs most among the neighbours; the label's own where they
        cannot tell.
    order
        Rows whose neighbours say otherwise by more than half, most doubted first.
    """

    score: NDArray[np.float32]
    suggested: NDArray[np.intp]
    order: NDArray[np.intp]


def find_label_issues(
    embeddings: NDArray[np.float32], labels: ArrayLike, groups: Sequence[str], k: int = 10
) -> LabelIssues:
    """Ask the nearest neighbours of each labelled tile whether its label can be right.

    The score of a tile is ``sum(w_i [y_i != y]) / sum(w_i)`` over its k nearest tiles of other
    groups, with ``w_i = 1 / (n_i max(d_i, 0.05))``: nearest neighbours weighted by distance
    (Dudani, IEEE Trans. SMC 1976), a class's votes divided by the number ``n_i`` of its tiles
    that may vote, so that a class drawn a lot does not outvote one drawn little. (Mislabelled
    examples by what their neighbours are: Wilson, IEEE Trans. SMC 1972.)
    A class of one group has no neighbour outside of it, and so cannot be told from wrong labels:
    its tiles are left out, and say nothing of others.

    Parameters
    ----------
    embeddings
        ``(n, d)`` float32, each of length 1.
    labels
        ``(n,)``, number of each tile's class.
    groups
        ``(n,)``, such as region or case; what is of a tile's own says nothing of it, since all of
        it would be wrong at once.
    k
        How many neighbours.
    """
    truth = np.asarray(labels, dtype=np.intp)
    _, group = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    score = np.full(len(truth), np.nan, dtype=np.float32)
    suggested = truth.copy()
    rows = np.flatnonzero(_can_be_assessed(truth, group))
    if len(np.unique(truth[rows])) > 1:
        for first in range(0, len(rows), _AT_ONCE):
            chunk = rows[first : first + _AT_ONCE]
            own = group[chunk][:, None] == group[rows][None, :]
            neighbours = nearest(embeddings[chunk], embeddings[rows], k, excluded=own)
            votes = _votes(neighbours, truth[rows], own, int(truth.max()) + 1)
            total = votes.sum(axis=1)
            has_votes = total > 0
            against = total - votes[np.arange(len(chunk)), truth[chunk]]
            score[chunk[has_votes]] = (against[has_votes] / total[has_votes]).astype(np.float32)
            suggested[chunk[has_votes]] = votes[has_votes].argmax(axis=1)
    suspected = np.flatnonzero((suggested != truth) & (np.nan_to_num(score) > 0.5))
    order = suspected[np.argsort(-score[suspected], kind="stable")]
    return LabelIssues(score, suggested, order)


def _can_be_assessed(labels: NDArray[np.intp], groups: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return which tiles are of a class of two groups or more, ``(n,)``."""
    several = [label for label in np.unique(labels) if len(np.unique(groups[labels == label])) > 1]
    return np.isin(labels, several)


def _votes(
    neighbours: Neighbours, labels: NDArray[np.intp], own: NDArray[np.bool_], classes: int
) -> NDArray[np.float64]:
    """Return what each class weighs among the neighbours of each tile, ``(q, classes)``."""
    number = (~own).astype(np.float32) @ np.eye(classes, dtype=np.float32)[labels]
    taken = np.isfinite(neighbours.distances)
    weight = np.where(taken, 1.0 / np.maximum(neighbours.distances, _NEAREST), 0.0)
    votes = np.zeros((len(weight), classes))
    for column in range(weight.shape[1]):
        votes[np.arange(len(weight)), labels[neighbours.rows[:, column]]] += weight[:, column]
    balanced: NDArray[np.float64] = votes / np.maximum(number, 1)
    return balanced
