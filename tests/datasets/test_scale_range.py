"""Unions, intersections and draws of intervals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.datasets.scale_range import intersection, sample_spread, sample_uniform, union

numbers = st.floats(-5, 5)
spans = st.lists(st.tuples(numbers, numbers).map(lambda p: (min(p), max(p))), max_size=5)


@given(spans, spans, numbers)
def test_intervals_hold_what_their_parts_hold(
    first: list[tuple[float, float]], second: list[tuple[float, float]], x: float
) -> None:
    def holds(some: list[tuple[float, float]]) -> bool:
        return any(low < x < high for low, high in some)

    joined = union(first)
    assert all(a[1] < b[0] for a, b in itertools.pairwise(joined))
    if holds(first):
        assert holds(joined)
    if holds(first) and holds(second):
        assert holds(intersection(union(first), union(second)))
    if holds(intersection(union(first), union(second))):
        assert holds(union(first))
        assert holds(union(second))


def test_drawing_fills_intervals_by_their_length() -> None:
    drawn = sample_uniform([(0.0, 1.0), (5.0, 8.0)], 4000, np.random.default_rng(0))
    assert ((drawn < 1) | (drawn > 5)).all()
    assert np.mean(drawn > 5) == pytest.approx(0.75, abs=0.03)


@given(st.integers(1, 6), st.integers(0, 1000))
def test_spread_draws_are_one_in_each_equal_part(size: int, seed: int) -> None:
    drawn = sample_spread([(0.0, 1.0), (5.0, 8.0)], size, np.random.default_rng(seed))
    along = np.where(drawn > 1, drawn - 4, drawn)
    assert (np.floor(along / 4 * size).clip(0, size - 1) == np.arange(size)).all()
    assert (((drawn >= 0) & (drawn <= 1)) | ((drawn >= 5) & (drawn <= 8))).all()
