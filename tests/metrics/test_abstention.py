"""The band of probabilities to abstain in, against trying all of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_smse.metrics.abstention import abstain_band

Made = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]


def made(n: int, seed: int) -> Made:
    """Probabilities of two classes with ties, labels that agree somewhat, and weights, some 0."""
    rng = np.random.default_rng(seed)
    p = rng.random(n).round(2)
    labels = (rng.random(n) < p).astype(np.int64)
    return np.stack([1 - p, p], axis=1), labels, rng.integers(0, 4, n).astype(float)


def slow_band(
    p: NDArray[np.float64],
    labels: NDArray[np.int64],
    weights: NDArray[np.float64],
    target: float,
    least: float,
) -> tuple[float, float] | None:
    """Accuracy and coverage of the band that decides most, by trying all of them."""
    best = None
    for width in sorted({abs(x - 0.5) for x in p}, reverse=True):
        chosen = [i for i in range(len(p)) if abs(p[i] - 0.5) >= width]
        weight = sum(weights[i] for i in chosen)
        if not weight:
            continue
        right = sum(weights[i] for i in chosen if (p[i] >= 0.5) == bool(labels[i]))
        coverage = weight / sum(weights)
        if right / weight >= target - 1e-12 and coverage >= least:
            best = (right / weight, coverage)
    return best


@given(
    st.integers(1, 50), st.integers(0, 10_000), st.sampled_from([0.6, 0.8, 0.9, 1.0]), st.booleans()
)
def test_the_band_is_the_narrowest_that_reaches_the_target(
    n: int, seed: int, target: float, weighted: bool
) -> None:
    values, labels, weights = made(n, seed)
    weights[0] = 1
    if not weighted:
        weights = np.ones(n)
    # Sixteenths, so that no distance from 0.5 is rounded.
    p = (values[:, 1] * 16).round() / 16
    expected = slow_band(p, labels, weights, target, 0.1)
    band = abstain_band(p, labels, target, weights=weights)
    decided = band.decided(p)
    if expected is None:
        assert band.coverage == 0
        assert math.isnan(band.accuracy)
        assert not decided.any()
        assert (band.low, band.high) == (0, 1)
        return
    assert (band.accuracy, band.coverage) == pytest.approx(expected)
    right = (p >= 0.5) == labels
    assert weights[decided].sum() / weights.sum() == pytest.approx(band.coverage)
    assert (weights * right)[decided].sum() / weights[decided].sum() >= target - 1e-12


def test_two_columns_are_the_same_as_one() -> None:
    values, labels, _ = made(50, 3)
    assert abstain_band(values, labels, 0.8) == abstain_band(values[:, 1], labels, 0.8)
    with pytest.raises(ValueError, match="two classes, not 3"):
        abstain_band(np.full((5, 3), 1 / 3), [0] * 5)


def test_where_all_is_right_nothing_is_left_undecided() -> None:
    band = abstain_band([0.1, 0.45, 0.55, 0.9], [0, 0, 1, 1])
    assert (band.low, band.high, band.coverage, band.accuracy) == (0.5, 0.5, 1, 1)
    assert band.decided([0.5, 0.49]).all()


def test_a_few_right_by_chance_promise_nothing() -> None:
    p = [0.99, *[0.6] * 19]
    labels = [1, *[0] * 10, *[1] * 9]
    assert abstain_band(p, labels, 0.9).coverage == 0
    assert abstain_band(p, labels, 0.9, least_coverage=0.05).coverage == pytest.approx(0.05)
