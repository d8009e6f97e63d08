"""Scales that images support, as intervals on the logarithm of um/px."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]


def union(intervals: Sequence[Interval]) -> list[Interval]:
    """Return intervals as disjoint ones, rising."""
    joined: list[Interval] = []
    for low, high in sorted(intervals):
        if joined and low <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], high))
        else:
            joined.append((low, high))
    return joined


def intersection(first: Sequence[Interval], second: Sequence[Interval]) -> list[Interval]:
    """Return what two unions of intervals share, leaving out single points."""
    found = [(max(a[0], b[0]), min(a[1], b[1])) for a in first for b in second]
    return union([(low, high) for low, high in found if low < high])


def draw(intervals: Sequence[Interval], size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw numbers ``(size,)`` uniformly from disjoint intervals that are not single points."""
    low, high = np.array(intervals).T
    lengths = high - low
    place = rng.choice(len(lengths), size=size, p=lengths / lengths.sum())
    return np.asarray(low[place] + lengths[place] * rng.uniform(size=size))
