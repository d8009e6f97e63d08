"""AUC of one score a case, and what is missing for it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.metrics.bootstrap import case_auc, case_predictions
from napari_smse.metrics.classification import auc, roc_auc

NAMES = ("benign", "malignant")


def test_two_cases_a_class_are_enough_and_fewer_are_told() -> None:
    assert case_auc([0.1, 0.2, 0.8, 0.9], [False, False, True, True], NAMES).value == 1.0
    one = case_auc([0.1, 0.2, 0.9], [False, False, True], NAMES)
    assert (one.value, one.low, one.n) == (None, None, 3)
    assert one.reason == "each class needs 2 cases; malignant lacks 1 case"
    none = case_auc([], [], NAMES)
    assert none.reason == "each class needs 2 cases; benign lacks 2 cases, malignant lacks 2 cases"


@given(seed=st.integers(0, 9999), cases=st.integers(4, 30))
def test_it_is_the_share_of_pairs_in_order_and_lies_in_its_interval(seed: int, cases: int) -> None:
    rng = np.random.default_rng(seed)
    positive = np.arange(cases) % 2 == 0
    scores = rng.uniform(size=cases).round(1)  # with ties
    found = case_auc(scores, positive, NAMES, draws=200)
    pairs = (scores[positive][:, None] > scores[~positive]) + 0.5 * (
        scores[positive][:, None] == scores[~positive]
    )
    assert found.value == pytest.approx(pairs.mean())
    assert 0 <= found.low <= found.high <= 1
    assert found.low <= found.value + 0.1
    assert found.high >= found.value - 0.1
    predictions = case_predictions(scores, positive)
    assert auc(predictions, np.ones((1, cases)))[0] == pytest.approx(roc_auc(positive, scores))


def test_more_cases_give_a_narrower_interval() -> None:
    rng = np.random.default_rng(0)

    def width(cases: int) -> float:
        positive = np.arange(cases) % 2 == 0
        found = case_auc(rng.normal(size=cases) + positive, positive, NAMES)
        return found.high - found.low

    assert width(200) < width(12)
