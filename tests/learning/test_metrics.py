"""Metrics against scikit-learn and known answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.learning.metrics import auc, balanced_accuracy, case_bootstrap, within_auc

rows = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=60)


@given(rows)
def test_auc_is_scikit_learns(found: list[tuple[bool, int]]) -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    labels, scores = [int(y) for y, _ in found], [s for _, s in found]
    if len(set(labels)) < 2:
        assert np.isnan(auc(labels, scores))
    else:
        assert auc(labels, scores) == pytest.approx(sklearn.roc_auc_score(labels, scores))


@given(rows)
def test_auc_counts_pairs_in_the_right_order(found: list[tuple[bool, int]]) -> None:
    positives, negatives = ([s for y, s in found if y == kind] for kind in (True, False))
    pairs = [(p > n) + 0.5 * (p == n) for p in positives for n in negatives]
    if pairs:
        assert auc(*zip(*found, strict=True)) == pytest.approx(np.mean(pairs))


def test_within_auc_ignores_differences_between_strata() -> None:
    labels = [0, 0, 1, 0, 1, 1]
    scores = [0.1, 0.2, 0.15, 0.8, 0.9, 0.7]
    strata = ["a", "a", "a", "b", "b", "b"]
    # a: one of two pairs is right; b: one of two.
    assert within_auc(labels, scores, strata) == pytest.approx(0.5)
    assert auc(labels, scores) > 0.5


def test_balanced_accuracy_weighs_classes_alike() -> None:
    assert balanced_accuracy([0, 1, 1, 1, 1], [0.9, 0.9, 0.9, 0.9, 0.1]) == pytest.approx(0.375)


def test_the_interval_resamples_cases_not_images() -> None:
    rng = np.random.default_rng(0)
    cases = [f"{kind}{i}" for kind in "bm" for i in range(8) for _ in range(30)]
    labels = np.array([int(case[0] == "m") for case in cases])
    of_case = {case: rng.normal() for case in dict.fromkeys(cases)}
    scores = np.array([of_case[case] for case in cases]) + labels
    by_case = case_bootstrap(auc, labels, scores, cases, draws=300)
    by_image = case_bootstrap(auc, labels, scores, [str(i) for i in range(480)], draws=300)
    assert by_case[1] - by_case[0] > 2 * (by_image[1] - by_image[0])
    assert by_case[0] <= auc(labels, scores) <= by_case[1]
