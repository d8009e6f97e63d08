"""What a figure rests on."""

from __future__ import annotations

import numpy as np
import pytest

from napari_smse.metrics.estimate import (
    MIN_CASES,
    MIN_TILES,
    auc_shortfall,
    mean_estimate,
    share_estimate,
)

CLASSES = ("benign", "malignant")


def shortfall(benign, malignant, *, unit="tiles"):
    """Of so many tiles of so many cases each."""
    labels = [0] * benign[0] + [1] * malignant[0]
    cases = [f"b{i % benign[1]}" for i in range(benign[0])]
    cases += [f"m{i % malignant[1]}" for i in range(malignant[0])]
    return auc_shortfall(labels, cases, CLASSES, unit)


def test_enough_of_both_lacks_nothing() -> None:
    assert (MIN_TILES, MIN_CASES) == (10, 2)
    assert shortfall((10, 2), (10, 2)) == ""


@pytest.mark.parametrize(
    ("benign", "malignant", "told"),
    [
        ((9, 2), (10, 2), "benign lacks 1 tile"),
        ((10, 1), (10, 2), "benign lacks 1 case"),
        ((4, 1), (10, 2), "benign lacks 6 tiles and 1 case"),
        ((10, 1), (10, 1), "benign lacks 1 case, malignant lacks 1 case"),
        ((10, 2), (0, 1), "malignant lacks 10 tiles and 2 cases"),
    ],
)
def test_what_is_missing_is_counted(benign, malignant, told) -> None:
    needed = "each class needs 10 tiles of 2 cases; "
    assert shortfall(benign, malignant) == needed + told


def test_images_are_called_images() -> None:
    assert shortfall((9, 2), (10, 2), unit="images").endswith("benign lacks 1 image")


def test_a_share_has_an_interval_even_where_all_are_right() -> None:
    found = share_estimate([True] * 5)
    assert found.value == 1
    # Wilson's lower bound for n of n is n / (n + z²).
    assert found.low == pytest.approx(5 / (5 + 1.96**2), abs=1e-4)
    assert (found.high, found.n) == (1, 5)
    assert share_estimate([]).value is None


def test_tiles_that_are_alike_say_less() -> None:
    hits = np.repeat([True, False, True, True], 25)
    alone = share_estimate(hits)
    by_case = share_estimate(hits, np.repeat(list("abcd"), 25).tolist())
    assert alone.value == by_case.value == 0.75
    assert by_case.low < alone.low
    assert by_case.high > alone.high
    # Cases of one kind each are as few independent tiles as there are cases.
    four = share_estimate([True, False, True, True])
    assert (by_case.low, by_case.high) == pytest.approx((four.low, four.high))
    assert (by_case.n, by_case.cases) == (100, 4)


def test_cases_that_do_not_differ_are_no_less_than_cases() -> None:
    groups = [i % 4 for i in range(40)]
    found = share_estimate([True] * 40, groups)
    assert found.low == pytest.approx(share_estimate([True] * 4).low)


def test_the_interval_of_a_share_covers_it() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        rates = rng.beta(2, 2, 20)
        hits = rng.random((20, 10)) < rates[:, None]
        found = share_estimate(hits.ravel(), np.repeat(np.arange(20), 10).tolist())
        covered += found.low <= 0.5 <= found.high
    assert covered / 300 > 0.9


def test_a_mean_is_drawn_by_groups() -> None:
    groups = np.repeat(np.arange(8), 5)
    values = np.random.default_rng(1).normal(size=8)[groups]
    found = mean_estimate(values, groups.tolist())
    assert found.value == pytest.approx(values.mean())
    looped = [np.mean(np.random.default_rng(seed).choice(values[::5], 8)) for seed in range(4000)]
    assert (found.low, found.high) == pytest.approx(np.percentile(looped, [2.5, 97.5]), abs=0.08)
    assert (found.n, found.cases) == (40, 8)


def test_one_group_gives_a_mean_without_an_interval() -> None:
    found = mean_estimate([1.0, 0.0], ["a", "a"])
    assert (found.value, found.low, found.cases) == (0.5, None, 1)
