"""Weighted metrics against plain loops over images that are there as often as they weigh."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.metrics.calibration import expected_calibration_error
from napari_smse.metrics.classification import (
    METRICS,
    Predictions,
    auc_over_present_classes,
    over_repeats,
    roc_auc,
)


def judged(seed: int, images: int = 30, classes: int = 2, positive: int = 1) -> Predictions:
    rng = np.random.default_rng(seed)
    raw = rng.integers(1, 5, size=(images, classes)).astype(float)  # few values, so many ties
    return Predictions(
        raw / raw.sum(axis=1, keepdims=True),
        rng.integers(0, classes, images),
        rng.integers(0, 6, images),
        rng.integers(0, 3, images),
        np.zeros(images, dtype=np.int64),
        positive,
    )


def slow(name: str, one: Predictions, weights: list[int]) -> float:
    """The figure, by loops over a list in which each image stands as often as it weighs."""
    rows = [i for i, weight in enumerate(weights) for _ in range(weight)]
    right = {i: int(one.probabilities[i].argmax()) == one.labels[i] for i in rows}
    if name == "accuracy":
        return mean([right[i] for i in rows])
    if name == "brier":
        return mean([brier_of(one.probabilities[i], one.labels[i]) for i in rows])
    if name in ("auc", "auc_within_stratum"):
        kinds = [one.positive] if one.classes == 2 else list(range(one.classes))
        return mean([slow_auc(one, rows, kind, name.endswith("stratum")) for kind in kinds])
    recalls = [mean([right[i] for i in rows if one.labels[i] == k]) for k in range(one.classes)]
    if name == "balanced_accuracy":
        return mean(recalls)
    if one.classes != 2:
        return math.nan
    return recalls[one.positive if name == "sensitivity" else 1 - one.positive]


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def brier_of(probabilities: np.ndarray, label: int) -> float:
    return sum((p - (k == label)) ** 2 for k, p in enumerate(probabilities)) / 2


def slow_auc(one: Predictions, rows: list[int], kind: int, within: bool) -> float:
    pairs = []
    for i in rows:
        for j in rows:
            if one.labels[i] != kind or one.labels[j] == kind:
                continue
            if within and one.strata[i] != one.strata[j]:
                continue
            high, low = one.probabilities[i, kind], one.probabilities[j, kind]
            pairs.append(float(high > low) + 0.5 * float(high == low))
    return mean(pairs)


LOOPED = [name for name in METRICS if name not in ("patient_recognition_rate", "ece")]


@pytest.mark.parametrize("name", LOOPED)
@given(
    seed=st.integers(0, 50),
    classes=st.integers(2, 4),
    positive=st.integers(0, 1),
    weights=st.lists(st.integers(0, 3), min_size=30, max_size=30),
)
def test_each_is_the_slow_loops(
    name: str, seed: int, classes: int, positive: int, weights: list[int]
) -> None:
    one = judged(seed, classes=classes, positive=positive)
    found = METRICS[name](one, np.array([weights, [1] * 30], dtype=float))
    assert found == pytest.approx(
        [slow(name, one, weights), slow(name, one, [1] * 30)], abs=1e-9, nan_ok=True
    )


@given(st.integers(0, 50), st.lists(st.integers(0, 3), min_size=6, max_size=6))
def test_patient_recognition_rate_is_the_mean_over_patients(seed: int, drawn: list[int]) -> None:
    one = judged(seed)
    rates = []
    for case in np.unique(one.cases):
        mine = [i for i in range(30) if one.cases[i] == case]
        rates += [mean([one.right[i] for i in mine])] * drawn[case]
    weights = np.array([[drawn[case] for case in one.cases]], dtype=float)
    found = METRICS["patient_recognition_rate"](one, weights)[0]
    assert found == pytest.approx(mean(rates), nan_ok=True)


@given(st.integers(0, 50), st.lists(st.integers(0, 3), min_size=30, max_size=30))
def test_calibration_error_of_weights_is_that_of_so_many_images(
    seed: int, weights: list[int]
) -> None:
    one, rows = judged(seed), np.repeat(np.arange(30), weights)
    expected = expected_calibration_error(one.probabilities[rows], one.labels[rows])
    found = METRICS["ece"](one, np.array([weights], dtype=float))[0]
    assert found == pytest.approx(expected, nan_ok=True)


def test_large_patients_weigh_no_more_than_small_ones() -> None:
    probabilities = np.array([[0.9, 0.1]] * 9 + [[0.1, 0.9]])
    one = Predictions(
        probabilities,
        np.zeros(10, dtype=np.int64),
        np.array([0] * 9 + [1]),
        np.zeros(10, dtype=np.int64),
        np.zeros(10, dtype=np.int64),
    )
    ones = np.ones((1, 10))
    assert METRICS["accuracy"](one, ones)[0] == pytest.approx(0.9)
    assert METRICS["patient_recognition_rate"](one, ones)[0] == pytest.approx(0.5)


rows = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=60)


@given(rows)
def test_roc_auc_is_scikit_learns(found: list[tuple[bool, int]]) -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    labels, scores = [int(y) for y, _ in found], [s for _, s in found]
    if len(set(labels)) < 2:
        assert np.isnan(roc_auc(labels, scores))
    else:
        assert roc_auc(labels, scores) == pytest.approx(sklearn.roc_auc_score(labels, scores))


@given(rows)
def test_roc_auc_counts_pairs_in_the_right_order(found: list[tuple[bool, int]]) -> None:
    positives, negatives = ([s for y, s in found if y == kind] for kind in (True, False))
    pairs = [(p > n) + 0.5 * (p == n) for p in positives for n in negatives]
    if pairs:
        assert roc_auc(*zip(*found, strict=True)) == pytest.approx(np.mean(pairs))


def test_differences_between_strata_are_not_rewarded_within_them() -> None:
    scores = np.array([0.1, 0.2, 0.15, 0.8, 0.9, 0.7])
    one = Predictions(
        np.stack([1 - scores, scores], axis=1),
        np.array([0, 0, 1, 0, 1, 1]),
        np.arange(6),
        np.array([0, 0, 0, 1, 1, 1]),
        np.zeros(6, dtype=np.int64),
    )
    ones = np.ones((1, 6))
    # The first stratum: one of two pairs is right; the second: one of two.
    assert METRICS["auc_within_stratum"](one, ones)[0] == pytest.approx(0.5)
    assert METRICS["auc"](one, ones)[0] == pytest.approx(roc_auc(one.labels, scores))
    assert METRICS["auc"](one, ones)[0] > 0.5


def test_balanced_accuracy_weighs_classes_alike() -> None:
    scores = np.array([0.9, 0.9, 0.9, 0.9, 0.1])
    one = Predictions(
        np.stack([1 - scores, scores], axis=1),
        np.array([0, 1, 1, 1, 1]),
        *(np.zeros(5, dtype=np.int64) for _ in range(3)),
    )
    assert METRICS["balanced_accuracy"](one, np.ones((1, 5)))[0] == pytest.approx(0.375)


def test_a_class_without_images_is_left_out_of_the_auc_of_present_ones() -> None:
    one, ones = judged(5, 80, classes=3), np.ones((1, 80))
    assert auc_over_present_classes(one, ones)[0] == pytest.approx(METRICS["auc"](one, ones)[0])
    two = one.part(one.labels != 2)
    weights = np.ones((1, len(two)))
    assert np.isnan(METRICS["auc"](two, weights)[0])
    expected = [roc_auc(two.labels == label, two.probabilities[:, label]) for label in (0, 1)]
    assert auc_over_present_classes(two, weights)[0] == pytest.approx(np.mean(expected))


def test_auc_of_several_classes_is_scikit_learns() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    one = judged(5, 80, classes=4)
    expected = sklearn.roc_auc_score(one.labels, one.probabilities, multi_class="ovr")
    assert METRICS["auc"](one, np.ones((1, 80)))[0] == pytest.approx(expected)


def test_repeats_are_averaged_not_pooled() -> None:
    first, second = judged(1), judged(2)
    both = Predictions(
        *(
            np.concatenate([getattr(first, key), getattr(second, key)])
            for key in ("probabilities", "labels", "cases", "strata")
        ),
        np.repeat([0, 1], 30),
    )
    apart = [METRICS["auc"](one, np.ones((1, 30)))[0] for one in (first, second)]
    found = over_repeats(METRICS["auc"], both, np.ones((1, 60)))[0]
    assert found == pytest.approx(np.mean(apart))
    assert found != pytest.approx(METRICS["auc"](both, np.ones((1, 60)))[0])
