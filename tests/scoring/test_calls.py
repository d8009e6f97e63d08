"""What is called of a tile, and what is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.models import read_card
from napari_smse.scoring.calls import (
    INDETERMINATE,
    NOT_SCORED,
    OUT_OF_DISTRIBUTION,
    CallRule,
)

CLASSES = ("benign", "malignant")


def called(rule: CallRule, *malignant: float, **context) -> list[str | None]:
    second = np.array(malignant)
    return rule.named(rule.call(np.column_stack([1 - second, second]), **context))


def test_between_the_ends_of_the_band_nothing_is_called():
    rule = CallRule(CLASSES, (0.2, 0.7))
    assert called(rule, 0.1, 0.2, 0.21, 0.5, 0.69, 0.7, 0.9) == [
        "benign",
        "benign",
        INDETERMINATE,
        INDETERMINATE,
        INDETERMINATE,
        "malignant",
        "malignant",
    ]


def test_without_a_band_the_most_probable_class_is_called():
    assert called(CallRule(CLASSES), 0.4, 0.6) == ["benign", "malignant"]
    three = CallRule(("a", "b", "c"))
    assert three.named(three.call(np.array([[0.2, 0.5, 0.3]]))) == ["b"]


def test_a_tile_unlike_what_is_known_is_never_called():
    rule = CallRule(CLASSES, (0.2, 0.7))
    ood = np.array([0.5, 1.5, np.nan, 1.0])
    assert called(rule, 0.9, 0.9, 0.9, 0.9, ood=ood) == [
        "malignant",
        OUT_OF_DISTRIBUTION,
        "malignant",
        "malignant",
    ]


def test_at_a_scale_that_the_model_never_saw_nothing_is_called():
    assert set(called(CallRule(CLASSES), 0.1, 0.9, in_range=False)) == {OUT_OF_DISTRIBUTION}


def test_a_tile_that_was_not_scored_has_no_call():
    rule = CallRule(CLASSES, (0.2, 0.7))
    assert called(rule, np.nan, ood=np.array([5.0]), in_range=False) == [None]
    assert rule.call(np.full((1, 2), np.nan)).tolist() == [NOT_SCORED]


def test_the_bundled_models_card_sets_the_band():
    card = read_card("bundled")
    rule = CallRule.from_card(card)
    assert rule.band == (card.undecided.low, card.undecided.high)
    assert called(rule, 0.5) == [INDETERMINATE]


def test_the_band_of_the_other_class_is_its_mirror_image():
    rule = CallRule(CLASSES, (0.2, 0.7))
    assert rule.band_of("malignant") == (0.2, 0.7)
    assert rule.band_of("benign") == pytest.approx((0.3, 0.8))
    assert CallRule(CLASSES).band_of("benign") is None


def test_each_call_has_a_colour_of_its_own():
    colours = CallRule(CLASSES).colours({"malignant": (1, 2, 3)})
    assert list(colours) == [*CLASSES, INDETERMINATE, OUT_OF_DISTRIBUTION]
    assert colours["malignant"] == (1, 2, 3)
    assert len(set(colours.values())) == 4


@given(
    second=st.floats(0, 1),
    low=st.floats(0.01, 0.5),
    high=st.floats(0.5, 0.99),
    ood=st.one_of(st.just(np.nan), st.floats(0, 5)),
)
def test_a_call_and_its_probability_never_disagree(second, low, high, ood):
    (name,) = called(CallRule(CLASSES, (low, high)), second, ood=np.array([ood]))
    if name == "malignant":
        assert second >= high
    if name == "benign":
        assert second <= low
    if name in CLASSES:
        assert not ood > 1
