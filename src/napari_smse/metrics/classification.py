"""How well images are classified: figures of weighted images, for many sets of weights at once.

Drawing cases with replacement gives each image an integer weight, so a bootstrap is one
matrix of weights ``(draws, n)`` and no loop over the draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_smse.metrics.calibration import expected_calibration_error

Weights = NDArray[np.float64]
WeightedMetric = Callable[["Predictions", Weights], NDArray[np.float64]]


@dataclass(frozen=True)
class Predictions:
    """Truth and prediction of n images.

    Attributes
    ----------
    probabilities
        ``(n, classes)``.
    labels
        ``(n,)`` class indices.
    cases, strata, repeats
        ``(n,)`` integer codes.
    positive
        The one of two classes that sensitivity is about.
    """

    probabilities: NDArray[np.float64]
    labels: NDArray[np.int64]
    cases: NDArray[np.int64]
    strata: NDArray[np.int64]
    repeats: NDArray[np.int64]
    positive: int = 1

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.probabilities.shape[1])

    @property
    def right(self) -> NDArray[np.bool_]:
        """``(n,)`` whether the most probable class is the true one."""
        return np.asarray(self.probabilities.argmax(axis=1) == self.labels)

    def part(self, chosen: NDArray[np.bool_]) -> Predictions:
        """Return the rows marked in `chosen`."""
        arrays = {
            field.name: getattr(self, field.name)[chosen]
            for field in fields(self)
            if field.name != "positive"
        }
        return Predictions(**arrays, positive=self.positive)


def _weighted_mean(values: NDArray[np.bool_] | NDArray[np.float64], weights: Weights) -> Weights:
    """Return the weighted mean of ``(n,)`` values; NaN where all weights are 0."""
    total = weights.sum(axis=1)
    sums = weights @ values.astype(np.float64)
    missing = np.full(len(total), np.nan)
    return np.asarray(np.divide(sums, total, out=missing, where=total > 0))


def accuracy(predictions: Predictions, weights: Weights) -> Weights:
    """Return the share of images that are right."""
    return _weighted_mean(predictions.right, weights)


def patient_recognition_rate(predictions: Predictions, weights: Weights) -> Weights:
    """Return the mean over patients (cases) of the share of their images that are right.

    References
    ----------
    Spanhol et al., IEEE TBME 2016.
    """
    images = np.bincount(predictions.cases)[predictions.cases]
    return _weighted_mean(predictions.right, weights / images)


def recall(predictions: Predictions, weights: Weights, label: int) -> Weights:
    """Return the share of a class's images that are right."""
    inside = predictions.labels == label
    return _weighted_mean(predictions.right[inside], weights[:, inside])


def sensitivity(predictions: Predictions, weights: Weights) -> Weights:
    """Return the recall of the positive of two classes; NaN for more classes."""
    if predictions.classes != 2:
        return np.full(len(weights), np.nan)
    return recall(predictions, weights, predictions.positive)


def specificity(predictions: Predictions, weights: Weights) -> Weights:
    """Return the recall of the negative of two classes; NaN for more classes."""
    if predictions.classes != 2:
        return np.full(len(weights), np.nan)
    return recall(predictions, weights, 1 - predictions.positive)


def balanced_accuracy(predictions: Predictions, weights: Weights) -> Weights:
    """Return the mean recall over all classes; NaN where one of them has no image."""
    recalls = [recall(predictions, weights, label) for label in range(predictions.classes)]
    return np.asarray(np.mean(recalls, axis=0))


def brier(predictions: Predictions, weights: Weights) -> Weights:
    """Return the mean squared error of the probabilities, halved sum over classes: 0 to 1.

    With two classes this is the mean of ``(p - y)**2`` (Brier, Monthly Weather Review 1950).
    """
    truth = np.eye(predictions.classes)[predictions.labels]
    return _weighted_mean(np.sum((predictions.probabilities - truth) ** 2, axis=1) / 2, weights)


def auc(predictions: Predictions, weights: Weights) -> Weights:
    """Return the area under the ROC curve; over more than two classes, the mean one-vs-rest.

    Ties count half. NaN where a class has no image.
    """
    return _mean_over_classes(
        predictions, weights, _one_stratum(predictions), _called_classes(predictions)
    )


def auc_over_present_classes(predictions: Predictions, weights: Weights) -> Weights:
    """Return the AUC as `auc` does, over those classes that have images; two at least."""
    present = [
        label for label in _called_classes(predictions) if (predictions.labels == label).any()
    ]
    return _mean_over_classes(predictions, weights, _one_stratum(predictions), present)


def roc_auc(truth: ArrayLike, scores: ArrayLike) -> float:
    """Return the area under the ROC curve of n scores: the share of pairs in the right order.

    Ties count half (Mann and Whitney, Annals of Mathematical Statistics 1947).

    Parameters
    ----------
    truth
        ``(n,)`` whether each is of the positive class.
    scores
        ``(n,)``, higher for what is more likely positive.

    Returns
    -------
    float
        NaN if there is one class alone.
    """
    positive = np.asarray(truth).astype(bool)
    values = np.asarray(scores, dtype=np.float64)
    right, pairs = _ordered_pairs(positive, values, np.ones((1, positive.size)))
    return float(right[0] / pairs[0]) if pairs[0] else float("nan")


def auc_within_stratum(predictions: Predictions, weights: Weights) -> Weights:
    """Return the AUC over pairs of images of one stratum only.

    Where classes are mixed differently at each magnification or source, the plain AUC
    rewards telling these apart; this one does not.
    """
    return _mean_over_classes(
        predictions, weights, predictions.strata, _called_classes(predictions)
    )


def _one_stratum(predictions: Predictions) -> NDArray[np.int64]:
    return np.zeros(len(predictions), dtype=np.int64)


def _called_classes(predictions: Predictions) -> Sequence[int]:
    """The classes that are compared with the rest; of two classes, the positive one."""
    return [predictions.positive] if predictions.classes == 2 else range(predictions.classes)


def _mean_over_classes(
    predictions: Predictions, weights: Weights, strata: NDArray[np.int64], labels: Sequence[int]
) -> Weights:
    by_class = []
    for label in labels:
        right, pairs = np.zeros(len(weights)), np.zeros(len(weights))
        for stratum in np.unique(strata):
            inside = strata == stratum
            truth = predictions.labels[inside] == label
            part = _ordered_pairs(
                truth, predictions.probabilities[inside, label], weights[:, inside]
            )
            right, pairs = right + part[0], pairs + part[1]
        missing = np.full(len(weights), np.nan)
        by_class.append(np.divide(right, pairs, out=missing, where=pairs > 0))
    return np.asarray(np.mean(by_class, axis=0))


def _ordered_pairs(
    truth: NDArray[np.bool_], scores: NDArray[np.float64], weights: Weights
) -> tuple[Weights, Weights]:
    """Return the weight of (positive, negative) pairs in the right order, and of all pairs."""
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    ordered = weights[:, order]
    positive = np.add.reduceat(ordered * truth[order], starts, axis=1)
    negative = np.add.reduceat(ordered * ~truth[order], starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    return (positive * below).sum(axis=1), positive.sum(axis=1) * negative.sum(axis=1)


def calibration_error(predictions: Predictions, weights: Weights) -> Weights:
    """Return the expected calibration error of the class called."""
    errors = [
        expected_calibration_error(predictions.probabilities, predictions.labels, weights=row)
        for row in weights
    ]
    return np.array(errors, dtype=np.float64)


METRICS: dict[str, WeightedMetric] = {
    "auc": auc,
    "auc_within_stratum": auc_within_stratum,
    "accuracy": accuracy,
    "patient_recognition_rate": patient_recognition_rate,
    "balanced_accuracy": balanced_accuracy,
    "sensitivity": sensitivity,
    "specificity": specificity,
    "brier": brier,
    "ece": calibration_error,
}


def over_repeats(metric: WeightedMetric, predictions: Predictions, weights: Weights) -> Weights:
    """Return the mean over repeats of a metric on each repeat's images."""
    by_repeat = [
        metric(
            predictions.part(predictions.repeats == repeat),
            weights[:, predictions.repeats == repeat],
        )
        for repeat in np.unique(predictions.repeats)
    ]
    return np.asarray(np.mean(by_repeat, axis=0))
