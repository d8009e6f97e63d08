"""Resampling of whole cases, as images of one case are alike and count together."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.metrics.classification import (
    Predictions,
    WeightedMetric,
    Weights,
    over_repeats,
)

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
