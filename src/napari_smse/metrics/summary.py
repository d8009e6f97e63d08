"""Figures of held-out predictions, with intervals that respect cases."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.errors import DataError
from napari_smse.metrics.classification import (
    METRICS,
    Predictions,
    WeightedMetric,
    Weights,
    over_repeats,
)
from napari_smse.metrics.predictions import HeldOutPredictions

# The negative of two classes, by what people call it; else the first one is.
_NEGATIVES: Final = ("benign", "normal", "negative", "healthy", "control", "non", "no", "not")
_ELEMENTS: Final = 2_000_000
ALL: Final = "all"


@dataclass(frozen=True)
class Estimate:
    """A metric with its 95 % interval; None where the data do not give it."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation of a metric over folds (and repeats).

    Attributes
    ----------
    folds
        Number of folds that gave the metric; a fold that lacks a class gives no AUC.
    """

    mean: float | None
    std: float | None
    folds: int


@dataclass(frozen=True)
class MagnificationSummary:
    """Metrics of the images of one magnification, or of all.

    Attributes
    ----------
    accuracy_by_fold, patient_by_fold, auc_by_fold
        Image accuracy, patient recognition rate and AUC, as papers report them.
    estimates
        Pooled over folds, with intervals: accuracy, patient_recognition_rate, auc.
    """

    magnification: str
    images: int
    cases: int
    accuracy_by_fold: Spread
    patient_by_fold: Spread
    auc_by_fold: Spread
    estimates: dict[str, Estimate]


@dataclass(frozen=True)
class Summary:
    """All metrics of held-out predictions.

    Attributes
    ----------
    images, cases
        Number of different ones that were predicted.
    positive
        The class sensitivity is about; empty with more than two classes.
    estimates
        By the names of `classification.METRICS`; the image-level AUC is ``auc``.
    magnifications
        One for each magnification, then all together.
    """

    images: int
    cases: int
    positive: str
    estimates: dict[str, Estimate]
    magnifications: tuple[MagnificationSummary, ...]


def positive_class(classes: Sequence[str]) -> int:
    """Return which of two classes sensitivity is about: not the one called benign or normal."""
    harmless = [name.casefold().replace("-", " ").split(" ")[0] in _NEGATIVES for name in classes]
    return 0 if harmless == [False, True] else 1


def predictions_from_held_out(
    held_out: HeldOutPredictions, labelled_set: LabelledSet
) -> Predictions:
    """Return truth and prediction of the held-out images, as plain arrays."""
    images = [labelled_set.images[i] for i in held_out.images]
    return Predictions(
        held_out.probabilities,
        np.array([image.label for image in images], dtype=np.int64),
        _codes([image.case for image in images]),
        _codes([image.stratum for image in images]),
        held_out.repeats,
        positive_class(labelled_set.classes),
    )


def predictions_from_scores(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], cases: Sequence[str]
) -> Predictions:
    """Return truth and prediction of images of one stratum.

    Parameters
    ----------
    probabilities
        ``(n, classes)``.
    labels
        ``(n,)`` class indices.
    cases
        Case of each image.
    """
    zeros = np.zeros(len(labels), dtype=np.int64)
    return Predictions(probabilities, labels, _codes(cases), zeros, zeros)


def _codes(names: Sequence[str]) -> NDArray[np.int64]:
    """Number names by their first appearance."""
    number = {name: code for code, name in enumerate(dict.fromkeys(names))}
    return np.array([number[name] for name in names], dtype=np.int64)


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


def _bootstrap_values(
    metric: WeightedMetric,
    predictions: Predictions,
    cases: NDArray[np.int64],
    draws: NDArray[np.int64],
) -> Weights:
    """Return the metric in each draw; `cases` are the rows' columns in `draws`."""
    parts = np.array_split(draws, max(1, math.ceil(len(draws) * len(predictions) / _ELEMENTS)))
    values = [
        over_repeats(metric, predictions, part[:, cases].astype(np.float64)) for part in parts
    ]
    return np.concatenate(values)


def _value(metric: WeightedMetric, predictions: Predictions) -> float:
    return float(over_repeats(metric, predictions, np.ones((1, len(predictions))))[0])


def _estimate(value: float, values: Weights) -> Estimate:
    finite = values[np.isfinite(values)]
    if not math.isfinite(value):
        return Estimate(None)
    if not len(finite):
        return Estimate(value)
    low, high = np.percentile(finite, [2.5, 97.5])
    return Estimate(value, float(low), float(high))


def _interval(
    metric: WeightedMetric, predictions: Predictions, draws: NDArray[np.int64]
) -> Estimate:
    value = _value(metric, predictions)
    # One case drawn again and again would give an interval of no width.
    if draws.shape[1] < 2 or not math.isfinite(value):
        return _estimate(value, np.empty(0))
    return _estimate(value, _bootstrap_values(metric, predictions, predictions.cases, draws))


def estimate(
    held_out: HeldOutPredictions,
    labelled_set: LabelledSet,
    metric: str,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Return one of `METRICS` with its case-clustered 95 % interval."""
    return with_interval(
        METRICS[metric], predictions_from_held_out(held_out, labelled_set), draws=draws, seed=seed
    )


def with_interval(
    metric: WeightedMetric, predictions: Predictions, *, draws: int = 1000, seed: int = 0
) -> Estimate:
    """Return a metric with its 95 % percentile interval from resampling whole cases."""
    return _interval(metric, predictions, bootstrap_counts(predictions, draws, seed))


def paired_difference(
    first: HeldOutPredictions,
    second: HeldOutPredictions,
    labelled_set: LabelledSet,
    metric: str,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Return how much larger a metric of `first` is than of `second`, on the same images.

    The interval resamples cases, the same ones for both, so that what makes cases hard
    or easy for both cancels out.

    Raises
    ------
    DataError
        They did not predict the same images equally often.
    """
    first, second = _in_order(first), _in_order(second)
    if not np.array_equal(first.images, second.images) or not np.array_equal(
        first.repeats, second.repeats
    ):
        raise DataError(
            "Two recipes can be compared only on the same images and as many repeats: "
            "cross-validate both on the same folds."
        )
    pair = [predictions_from_held_out(held_out, labelled_set) for held_out in (first, second)]
    counts, metric_of = bootstrap_counts(pair[0], draws, seed), METRICS[metric]
    value = _value(metric_of, pair[0]) - _value(metric_of, pair[1])
    if counts.shape[1] < 2 or not math.isfinite(value):
        return _estimate(value, np.empty(0))
    values = [
        _bootstrap_values(metric_of, predictions, predictions.cases, counts) for predictions in pair
    ]
    return _estimate(value, values[0] - values[1])


def _in_order(held_out: HeldOutPredictions) -> HeldOutPredictions:
    order = np.lexsort((held_out.folds, held_out.images, held_out.repeats))
    return HeldOutPredictions(
        held_out.images[order],
        held_out.logits[order.tolist()],
        held_out.folds[order],
        held_out.repeats[order],
    )


def summarise(
    held_out: HeldOutPredictions, labelled_set: LabelledSet, *, draws: int = 1000, seed: int = 0
) -> Summary:
    """Return all metrics of held-out predictions, each with a case-clustered interval.

    A case is the unit that counts as a patient in the patient recognition rate.

    Raises
    ------
    DataError
        Nothing was predicted.
    """
    if not len(held_out):
        raise DataError("No image was predicted, so there is nothing to measure: check the data.")
    predictions = predictions_from_held_out(held_out, labelled_set)
    counts = bootstrap_counts(predictions, draws, seed)
    names = np.array([labelled_set.images[i].magnification for i in held_out.images])
    listed = sorted(set(names.tolist()) - {""}, key=_power)
    rows = [
        _magnification(name, held_out, predictions, names == name, counts)
        for name in listed
        if len(set(names.tolist())) > 1
    ]
    everything = _magnification(ALL, held_out, predictions, np.full(len(names), True), counts)
    binary = len(labelled_set.classes) == 2
    return Summary(
        len(np.unique(held_out.images)),
        int(predictions.cases.max()) + 1,
        labelled_set.classes[predictions.positive] if binary else "",
        {name: _interval(metric, predictions, counts) for name, metric in METRICS.items()},
        (*rows, everything),
    )


def _magnification(
    name: str,
    held_out: HeldOutPredictions,
    predictions: Predictions,
    inside: NDArray[np.bool_],
    draws: NDArray[np.int64],
) -> MagnificationSummary:
    part, held_out_part = predictions.part(inside), held_out.part(inside)
    shown = ("accuracy", "patient_recognition_rate", "auc")
    accuracy, patient, auc = (_by_fold(METRICS[metric], held_out_part, part) for metric in shown)
    return MagnificationSummary(
        name,
        images=len(np.unique(held_out_part.images)),
        cases=len(np.unique(part.cases)),
        accuracy_by_fold=accuracy,
        patient_by_fold=patient,
        auc_by_fold=auc,
        estimates={metric: _interval(METRICS[metric], part, draws) for metric in shown},
    )


def _by_fold(
    metric: WeightedMetric, held_out: HeldOutPredictions, predictions: Predictions
) -> Spread:
    values = []
    for fold in np.unique(np.stack([held_out.repeats, held_out.folds]), axis=1).T:
        inside = (held_out.repeats == fold[0]) & (held_out.folds == fold[1])
        values.append(_value(metric, predictions.part(inside)))
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return Spread(None, None, 0)
    std = float(np.std(finite, ddof=1)) if len(finite) > 1 else None
    return Spread(float(np.mean(finite)), std, len(finite))


def _power(name: str) -> tuple[float, str]:
    digits = "".join(letter for letter in name if letter.isdigit() or letter == ".")
    try:
        return float(digits), name
    except ValueError:
        return math.inf, name
