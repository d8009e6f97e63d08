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
    """A figure with its 95 % interval; none where the data does not give it."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation of a figure over folds (and repeats).

    Attributes
    ----------
    folds
        How many gave the figure; a fold that lacks a class gives no AUC.
    """

    mean: float | None
    std: float | None
    folds: int


@dataclass(frozen=True)
class MagnificationFigures:
    """Figures of the images of one magnification, or of all.

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
    """All figures of held-out predictions.

    Attributes
    ----------
    images, cases
        How many different ones were predicted.
    positive
        The class sensitivity is about; empty with more than two classes.
    estimates
        By the names of `weighted_metrics.METRICS`; the image-level AUC is ``auc``.
    magnifications
        One for each magnification, then all together.
    """

    images: int
    cases: int
    positive: str
    estimates: dict[str, Estimate]
    magnifications: tuple[MagnificationFigures, ...]


def positive_class(classes: Sequence[str]) -> int:
    """Return which of two classes sensitivity is about: not the one called benign or normal."""
    harmless = [name.casefold().replace("-", " ").split(" ")[0] in _NEGATIVES for name in classes]
    return 0 if harmless == [False, True] else 1


def judge(held_out: HeldOutPredictions, labelled_set: LabelledSet) -> Predictions:
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
        Of each image.
    """
    alike = np.zeros(len(labels), dtype=np.int64)
    return Predictions(probabilities, labels, _codes(cases), alike, alike)


def _codes(names: Sequence[str]) -> NDArray[np.int64]:
    """Number names by their first appearance."""
    number = {name: code for code, name in enumerate(dict.fromkeys(names))}
    return np.array([number[name] for name in names], dtype=np.int64)


def case_draws(judged: Predictions, draws: int = 1000, seed: int = 0) -> NDArray[np.int64]:
    """Return how often each case is drawn in each bootstrap, ``(draws, cases)``.

    Cases of each kind (the classes they hold) are drawn with replacement as often as there
    are such cases, so that every draw has all classes.
    """
    kinds: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for case in range(int(judged.cases.max()) + 1):
        held = np.unique(judged.labels[judged.cases == case])
        kinds[tuple(int(label) for label in held)].append(case)
    rng = np.random.default_rng(seed)
    counts = np.zeros((draws, int(judged.cases.max()) + 1), dtype=np.int64)
    for row in counts:
        for cases in kinds.values():
            picked = rng.integers(len(cases), size=len(cases))
            row[cases] = np.bincount(picked, minlength=len(cases))
    return counts


def _drawn(
    metric: WeightedMetric, judged: Predictions, cases: NDArray[np.int64], draws: NDArray[np.int64]
) -> Weights:
    """Return the metric in each draw; `cases` are the rows' columns in `draws`."""
    parts = np.array_split(draws, max(1, math.ceil(len(draws) * len(judged) / _ELEMENTS)))
    found = [over_repeats(metric, judged, part[:, cases].astype(np.float64)) for part in parts]
    return np.concatenate(found)


def _value(metric: WeightedMetric, judged: Predictions) -> float:
    return float(over_repeats(metric, judged, np.ones((1, len(judged))))[0])


def _estimate(value: float, drawn: Weights) -> Estimate:
    known = drawn[np.isfinite(drawn)]
    if not math.isfinite(value):
        return Estimate(None)
    if not len(known):
        return Estimate(value)
    low, high = np.percentile(known, [2.5, 97.5])
    return Estimate(value, float(low), float(high))


def _interval(metric: WeightedMetric, judged: Predictions, draws: NDArray[np.int64]) -> Estimate:
    value = _value(metric, judged)
    # One case drawn again and again would give an interval of no width.
    if draws.shape[1] < 2 or not math.isfinite(value):
        return _estimate(value, np.empty(0))
    return _estimate(value, _drawn(metric, judged, judged.cases, draws))


def estimate(
    held_out: HeldOutPredictions,
    labelled_set: LabelledSet,
    metric: str,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Return one of `METRICS` with its case-clustered 95 % interval."""
    return with_interval(METRICS[metric], judge(held_out, labelled_set), draws=draws, seed=seed)


def with_interval(
    metric: WeightedMetric, judged: Predictions, *, draws: int = 1000, seed: int = 0
) -> Estimate:
    """Return a metric with its 95 % percentile interval from resampling whole cases."""
    return _interval(metric, judged, case_draws(judged, draws, seed))


def paired_difference(
    first: HeldOutPredictions,
    second: HeldOutPredictions,
    labelled_set: LabelledSet,
    metric: str,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Return how much larger a figure of `first` is than of `second`, on the same images.

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
    judged, other = judge(first, labelled_set), judge(second, labelled_set)
    counts, found = case_draws(judged, draws, seed), METRICS[metric]
    value = _value(found, judged) - _value(found, other)
    if counts.shape[1] < 2 or not math.isfinite(value):
        return _estimate(value, np.empty(0))
    drawn = [_drawn(found, one, one.cases, counts) for one in (judged, other)]
    return _estimate(value, drawn[0] - drawn[1])


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
    """Return all figures of held-out predictions, each with a case-clustered interval.

    A case is the unit that counts as a patient in the patient recognition rate.

    Raises
    ------
    DataError
        Nothing was predicted.
    """
    if not len(held_out):
        raise DataError("No image was predicted, so there is nothing to measure: check the data.")
    judged = judge(held_out, labelled_set)
    counts = case_draws(judged, draws, seed)
    names = np.array([labelled_set.images[i].magnification for i in held_out.images])
    listed = sorted(set(names.tolist()) - {""}, key=_power)
    rows = [
        _magnification(name, held_out, judged, names == name, counts)
        for name in listed
        if len(set(names.tolist())) > 1
    ]
    everything = _magnification(ALL, held_out, judged, np.full(len(names), True), counts)
    two = len(labelled_set.classes) == 2
    return Summary(
        len(np.unique(held_out.images)),
        int(judged.cases.max()) + 1,
        labelled_set.classes[judged.positive] if two else "",
        {name: _interval(metric, judged, counts) for name, metric in METRICS.items()},
        (*rows, everything),
    )


def _magnification(
    name: str,
    held_out: HeldOutPredictions,
    judged: Predictions,
    inside: NDArray[np.bool_],
    draws: NDArray[np.int64],
) -> MagnificationFigures:
    part, own = judged.part(inside), held_out.part(inside)
    shown = ("accuracy", "patient_recognition_rate", "auc")
    accuracy, patient, auc = (_by_fold(METRICS[metric], own, part) for metric in shown)
    return MagnificationFigures(
        name,
        images=len(np.unique(own.images)),
        cases=len(np.unique(part.cases)),
        accuracy_by_fold=accuracy,
        patient_by_fold=patient,
        auc_by_fold=auc,
        estimates={metric: _interval(METRICS[metric], part, draws) for metric in shown},
    )


def _by_fold(metric: WeightedMetric, held_out: HeldOutPredictions, judged: Predictions) -> Spread:
    found = []
    for fold in np.unique(np.stack([held_out.repeats, held_out.folds]), axis=1).T:
        inside = (held_out.repeats == fold[0]) & (held_out.folds == fold[1])
        found.append(_value(metric, judged.part(inside)))
    known = [value for value in found if math.isfinite(value)]
    if not known:
        return Spread(None, None, 0)
    std = float(np.std(known, ddof=1)) if len(known) > 1 else None
    return Spread(float(np.mean(known)), std, len(known))


def _power(name: str) -> tuple[float, str]:
    digits = "".join(letter for letter in name if letter.isdigit() or letter == ".")
    try:
        return float(digits), name
    except ValueError:
        return math.inf, name
