"""Figures of held-out predictions, with intervals that respect cases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.errors import DataError
from napari_smse.metrics.bootstrap import bootstrap_counts, bootstrap_values
from napari_smse.metrics.classification import (
    METRICS,
    Predictions,
    WeightedMetric,
    Weights,
    auc,
    auc_over_present_classes,
    auc_within_stratum,
    over_repeats,
)
from napari_smse.metrics.estimate import Estimate, auc_shortfall
from napari_smse.metrics.predictions import HeldOutPredictions

# The negative of two classes, by what people call it; else the first one is.
_NEGATIVES: Final = ("benign", "normal", "negative", "healthy", "control", "non", "no", "not")
_OVER_PRESENT: Final = auc_over_present_classes
_AUCS: Final = (auc, auc_within_stratum, _OVER_PRESENT)
ALL: Final = "all"


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation of a metric over folds (and repeats).

    Attributes
    ----------
    folds
        Number of folds that gave the metric; a fold with too few of a class gives no AUC.
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


def _value(metric: WeightedMetric, predictions: Predictions) -> float:
    if metric in _AUCS and _shortfall(predictions, only_present=metric is _OVER_PRESENT):
        return float("nan")
    return float(over_repeats(metric, predictions, np.ones((1, len(predictions))))[0])


def _shortfall(
    predictions: Predictions,
    classes: Sequence[str] | None = None,
    unit: str = "images",
    *,
    only_present: bool = False,
) -> str:
    """Return what is missing for an AUC; a repeat predicts the same images again."""
    once = predictions.part(predictions.repeats == predictions.repeats[0])
    labels, names = once.labels, classes or [str(label) for label in range(predictions.classes)]
    if only_present:
        present, labels = np.unique(labels, return_inverse=True)
        names = [names[label] for label in present.tolist()]
    return auc_shortfall(labels, once.cases.tolist(), names, unit)


def _estimate(value: float, values: Weights, predictions: Predictions) -> Estimate:
    once = predictions.part(predictions.repeats == predictions.repeats[0])
    n, cases = len(once), len(np.unique(once.cases))
    finite = values[np.isfinite(values)]
    if not math.isfinite(value):
        return Estimate(None, n=n, cases=cases)
    if not len(finite):
        return Estimate(value, n=n, cases=cases)
    low, high = np.percentile(finite, [2.5, 97.5])
    return Estimate(value, float(low), float(high), n, cases)


def _interval(
    metric: WeightedMetric, predictions: Predictions, draws: NDArray[np.int64]
) -> Estimate:
    value = _value(metric, predictions)
    # One case drawn again and again would give an interval of no width.
    if draws.shape[1] < 2 or not math.isfinite(value):
        return _estimate(value, np.empty(0), predictions)
    values = bootstrap_values(metric, predictions, predictions.cases, draws)
    return _estimate(value, values, predictions)


def _measured(
    metric: str, predictions: Predictions, draws: NDArray[np.int64], labelled_set: LabelledSet
) -> Estimate:
    found = _interval(METRICS[metric], predictions, draws)
    return _with_reason(found, metric, predictions, labelled_set)


def _with_reason(
    found: Estimate, metric: str, predictions: Predictions, labelled_set: LabelledSet
) -> Estimate:
    """Say why there is no AUC, if that is because there are too few images."""
    if found.value is not None or METRICS[metric] not in _AUCS:
        return found
    unit = "tiles" if any(image.region for image in labelled_set.images) else "images"
    return replace(found, reason=_shortfall(predictions, labelled_set.classes, unit))


def estimate(
    held_out: HeldOutPredictions,
    labelled_set: LabelledSet,
    metric: str,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Return one of `METRICS` with its case-clustered 95 % interval."""
    predictions = predictions_from_held_out(held_out, labelled_set)
    counts = bootstrap_counts(predictions, draws, seed)
    return _measured(metric, predictions, counts, labelled_set)


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
        found = _estimate(value, np.empty(0), pair[0])
        return _with_reason(found, metric, pair[0], labelled_set)
    values = [
        bootstrap_values(metric_of, predictions, predictions.cases, counts) for predictions in pair
    ]
    return _estimate(value, values[0] - values[1], pair[0])


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
        _magnification(name, held_out, predictions, names == name, counts, labelled_set)
        for name in listed
        if len(set(names.tolist())) > 1
    ]
    everything = np.full(len(names), True)
    rows.append(_magnification(ALL, held_out, predictions, everything, counts, labelled_set))
    binary = len(labelled_set.classes) == 2
    return Summary(
        len(np.unique(held_out.images)),
        int(predictions.cases.max()) + 1,
        labelled_set.classes[predictions.positive] if binary else "",
        {name: _measured(name, predictions, counts, labelled_set) for name in METRICS},
        tuple(rows),
    )


def _magnification(
    name: str,
    held_out: HeldOutPredictions,
    predictions: Predictions,
    inside: NDArray[np.bool_],
    draws: NDArray[np.int64],
    labelled_set: LabelledSet,
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
        estimates={metric: _measured(metric, part, draws, labelled_set) for metric in shown},
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
