"""Resampling of whole cases, as images of one case are alike and count together."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_smse.metrics.classification import (
    Predictions,
    WeightedMetric,
    Weights,
    auc,
    over_repeats,
    roc_auc,
)
from napari_smse.metrics.estimate import Estimate, case_shortfall

_ELEMENTS: Final = 2_000_000
"""So many weights are held at once."""


def bootstrap_counts(
    predictions: Predictions, draws: int = 1000, seed: int = 0
) -> NDArray[np.int64]:
    """Return how often each case is drawn in each bootstrap, ``(draws, cases)``.

    Cases of each kind (the classes they hold) are drawn with replacement as often as there
    are such cases, so that every draw has all classes.
    """
    kinds: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for case in range(int(predictions.cases.max()) + 1):
        labels = np.unique(predictions.labels[predictions.cases == case])
        kinds[tuple(int(label) for label in labels)].append(case)
    rng = np.random.default_rng(seed)
    counts = np.zeros((draws, int(predictions.cases.max()) + 1), dtype=np.int64)
    for row in counts:
        for cases in kinds.values():
            picked = rng.integers(len(cases), size=len(cases))
            row[cases] = np.bincount(picked, minlength=len(cases))
    return counts


def bootstrap_values(
    metric: WeightedMetric,
    predictions: Predictions,
    cases: NDArray[np.int64],
    draws: NDArray[np.int64],
) -> Weights:
    """Return a metric in each draw, ``(draws,)``.

    Parameters
    ----------
    metric, predictions
        What is measured, and of what.
    cases
        ``(n,)``, the rows' columns in `draws`.
    draws
        ``(draws, cases)``, how often each case is drawn.
    """
    parts = np.array_split(draws, max(1, math.ceil(len(draws) * len(predictions) / _ELEMENTS)))
    values = [
        over_repeats(metric, predictions, part[:, cases].astype(np.float64)) for part in parts
    ]
    return np.concatenate(values)


def case_predictions(scores: ArrayLike, positive: ArrayLike) -> Predictions:
    """Return one score a case as predictions of two classes, each row a case of its own.

    Parameters
    ----------
    scores
        ``(n,)``, 0..1: higher for what is more likely of the class that is looked for.
    positive
        ``(n,)``, whether each is of it.
    """
    score = np.asarray(scores, dtype=np.float64)
    labels = np.asarray(positive, dtype=np.int64)
    zeros = np.zeros(len(labels), dtype=np.int64)
    rows = np.arange(len(labels), dtype=np.int64)
    return Predictions(np.column_stack([1 - score, score]), labels, rows, zeros, zeros)


def case_auc(
    scores: ArrayLike,
    positive: ArrayLike,
    names: tuple[str, str],
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Return the AUC of one score a case, with its 95 % interval from drawing cases.

    Parameters
    ----------
    scores, positive
        As for `case_predictions`.
    names
        What the other cases and those that are looked for are called, for the reason if there is
        no AUC.
    draws, seed
        Number of bootstrap draws, and their seed.
    """
    truth = np.asarray(positive, dtype=bool)
    number = len(truth)
    if reason := case_shortfall(truth, names):
        return Estimate(None, n=number, cases=number, reason=reason)
    predictions = case_predictions(scores, truth)
    counts = bootstrap_counts(predictions, draws, seed)
    drawn = bootstrap_values(auc, predictions, predictions.cases, counts)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Estimate(roc_auc(truth, scores), float(low), float(high), number, number)
