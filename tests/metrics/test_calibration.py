"""Temperature, calibration error, abstaining and outliers, against slow obvious versions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional

from napari_smse.metrics.calibration import (
    abstain_band,
    expected_calibration_error,
    fit_temperature,
    outlier_thresholds,
)

Made = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]


def made(n: int, classes: int, seed: int, digits: int = 2) -> Made:
    """Probabilities with ties, labels that agree somewhat, and weights, some of them 0."""
    rng = np.random.default_rng(seed)
    values = rng.dirichlet(np.ones(classes), n).round(digits)
    values[:, 0] += 1 - values.sum(axis=1)
    labels = np.array([rng.choice(classes, p=np.abs(row) / np.abs(row).sum()) for row in values])
    return values, labels, rng.integers(0, 4, n).astype(float)


def slow_error(
    values: NDArray[np.float64], labels: NDArray[np.int64], weights: NDArray[np.float64], bins: int
) -> float:
    total = 0.0
    for index in range(bins):
        low, high = index / bins, (index + 1) / bins
        inside = [
            i
            for i in range(len(values))
            if (low < max(values[i]) or index == 0) and max(values[i]) <= high
        ]
        weight = sum(weights[i] for i in inside)
        if weight:
            right = sum(weights[i] * (np.argmax(values[i]) == labels[i]) for i in inside)
            confidence = sum(weights[i] * max(values[i]) for i in inside)
            total += weight * abs(right / weight - confidence / weight)
    return total / sum(weights)


@given(st.integers(1, 60), st.integers(2, 4), st.integers(0, 10_000), st.sampled_from([7, 13, 16]))
def test_calibration_error_agrees_with_a_slow_loop(
    n: int, classes: int, seed: int, bins: int
) -> None:
    values, labels, weights = made(n, classes, seed, digits=6)
    weights[0] = 1
    found = expected_calibration_error(values, labels, bins, weights)
    assert found == pytest.approx(slow_error(values, labels, weights, bins), abs=1e-9)
    found = expected_calibration_error(values, labels, bins)
    assert found == pytest.approx(slow_error(values, labels, np.ones(n), bins), abs=1e-9)


def test_whole_weights_are_repeats() -> None:
    values, labels, weights = made(40, 3, 1)
    rows = np.repeat(np.arange(40), weights.astype(int))
    assert expected_calibration_error(values, labels, weights=weights) == pytest.approx(
        expected_calibration_error(values[rows], labels[rows])
    )


def test_known_calibration_errors() -> None:
    sure = np.array([[1.0, 0.0]] * 4)
    assert expected_calibration_error(sure, [0, 0, 0, 0]) == 0
    assert expected_calibration_error(sure, [1, 1, 1, 1]) == 1
    assert expected_calibration_error(np.array([[0.75, 0.25]] * 4), [0, 0, 0, 1]) == 0
    assert math.isnan(expected_calibration_error(np.empty((0, 2)), []))


def test_bins_are_closed_above() -> None:
    values = np.array([[0.75, 0.25], [0.875, 0.125]])
    # Each in a bin of its own: (0.5, 0.75] and (0.75, 1].
    assert expected_calibration_error(values, [0, 1], bins=4) == (0.25 + 0.875) / 2


def test_the_temperature_of_logits_made_too_sure_is_found() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4000, 2, generator=generator)
    labels = torch.multinomial(torch.softmax(logits, 1), 1, generator=generator)[:, 0]
    temperature = fit_temperature(logits * 5, labels)
    assert temperature == pytest.approx(5, rel=0.1)
    best = functional.cross_entropy(logits * 5 / temperature, labels)
    for other in (temperature * 0.8, temperature * 1.25):
        assert functional.cross_entropy(logits * 5 / other, labels) > best


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
    values, labels, weights = made(n, 2, seed)
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
    values, labels, _ = made(50, 2, 3)
    assert abstain_band(values, labels, 0.8) == abstain_band(values[:, 1], labels, 0.8)
    with pytest.raises(ValueError, match="two classes, not 3"):
        abstain_band(made(5, 3, 0)[0], [0] * 5)


def test_where_all_is_right_nothing_is_left_undecided() -> None:
    band = abstain_band([0.1, 0.45, 0.55, 0.9], [0, 0, 1, 1])
    assert (band.low, band.high, band.coverage, band.accuracy) == (0.5, 0.5, 1, 1)
    assert band.decided([0.5, 0.49]).all()


def test_a_few_right_by_chance_promise_nothing() -> None:
    p = [0.99, *[0.6] * 19]
    labels = [1, *[0] * 10, *[1] * 9]
    assert abstain_band(p, labels, 0.9).coverage == 0
    assert abstain_band(p, labels, 0.9, min_coverage=0.05).coverage == pytest.approx(0.05)


@given(
    st.lists(
        st.tuples(st.floats(0, 10), st.sampled_from([0.25, 0.5, 1.0])), min_size=1, max_size=60
    ),
    st.floats(0.5, 1),
)
def test_thresholds_are_quantiles_at_each_scale(
    made: list[tuple[float, float]], share: float
) -> None:
    distances, scales = zip(*made, strict=True)
    found = outlier_thresholds(distances, scales, share)
    assert list(found) == sorted(set(scales))
    for mpp, threshold in found.items():
        own = sorted(d for d, scale in made if scale == mpp)
        place = share * (len(own) - 1)
        below = own[math.floor(place)]
        above = own[math.ceil(place)]
        expected = below + (above - below) * (place - math.floor(place))
        assert threshold == pytest.approx(expected, abs=1e-9)


def test_distances_must_be_numbers() -> None:
    with pytest.raises(ValueError, match="finite"):
        outlier_thresholds([1.0, float("nan")], [0.5, 0.5])
