"""Temperature and calibration error, against slow obvious versions."""

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
    expected_calibration_error,
    fit_temperature,
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


def test_images_without_weight_do_not_move_the_temperature() -> None:
    logits = torch.randn(400, 2, generator=torch.Generator().manual_seed(1))
    labels = logits.argmax(dim=1)
    labels[::5] = 1 - labels[::5]
    wrong = torch.cat([labels, 1 - labels])
    weights = torch.cat([torch.full((400,), 0.3), torch.zeros(400)])
    weighted = fit_temperature(torch.cat([logits, 9 * logits]), wrong, weights)
    assert weighted == fit_temperature(logits, labels)
