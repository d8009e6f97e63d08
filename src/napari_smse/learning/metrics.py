"""Figures of merit, with intervals that respect cases."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Metric = Callable[[NDArray[np.int64], NDArray[np.float64]], float]


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the area under the ROC curve; ties count half, one class alone gives NaN.

    The Mann-Whitney form: the share of (positive, negative) pairs in the right order.
    """
    truth = np.asarray(labels).astype(bool)
    values, ranks = np.asarray(scores, dtype=np.float64), np.empty(truth.size)
    order = np.argsort(values, kind="stable")
    ranks[order] = np.arange(1, truth.size + 1)
    _, group = np.unique(values, return_inverse=True)
    ranks = (np.bincount(group, ranks) / np.bincount(group))[group]
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        return float("nan")
    above = ranks[truth].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def within_auc(labels: ArrayLike, scores: ArrayLike, strata: ArrayLike) -> float:
    """Return the AUC over pairs of images of the same stratum only.

    Where classes are mixed differently at each magnification, the plain AUC rewards
    telling magnifications apart; this one does not.
    """
    truth, values, names = np.asarray(labels), np.asarray(scores), np.asarray(strata)
    right, pairs = 0.0, 0
    for name in np.unique(names):
        inside = names == name
        positives = int(np.sum(truth[inside] == 1))
        count = positives * (int(inside.sum()) - positives)
        if count:
            right += count * auc(truth[inside], values[inside])
            pairs += count
    return right / pairs if pairs else float("nan")


def balanced_accuracy(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the mean of both classes' recall at a probability of 0.5."""
    truth, called = np.asarray(labels).astype(bool), np.asarray(scores) >= 0.5
    recalls = [np.mean(called[truth == kind] == kind) for kind in (False, True)]
    return float(np.mean(recalls))


def case_bootstrap(
    metric: Metric,
    labels: ArrayLike,
    scores: ArrayLike,
    cases: Sequence[str],
    *,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return a 95 % percentile interval from resampling whole cases, class by class.

    Cases of each kind (the classes they hold) are drawn with replacement as often as
    there are such cases, so that every draw has both classes.
    """
    truth, values = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    rng = np.random.default_rng(seed)
    kinds = _cases_by_kind(truth, cases)
    found = []
    for _ in range(draws):
        picked = [
            indices[i] for indices in kinds for i in rng.integers(len(indices), size=len(indices))
        ]
        rows = np.concatenate(picked)
        found.append(metric(truth[rows], values[rows]))
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return float(low), float(high)


def _cases_by_kind(
    labels: NDArray[np.int64], cases: Sequence[str]
) -> list[list[NDArray[np.int64]]]:
    members: dict[str, list[int]] = defaultdict(list)
    for index, case in enumerate(cases):
        members[case].append(index)
    kinds: dict[tuple[int, ...], list[NDArray[np.int64]]] = defaultdict(list)
    for indices in members.values():
        kind = tuple(int(value) for value in np.unique(labels[indices]))
        kinds[kind].append(np.array(indices))
    return list(kinds.values())
