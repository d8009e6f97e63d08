"""Which scales an image can be learnt from at; ranges of them on the logarithm of um/px."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import DataError

Interval = tuple[float, float]


def union(intervals: Sequence[Interval]) -> list[Interval]:
    """Return intervals as disjoint ones, rising."""
    disjoint: list[Interval] = []
    for low, high in sorted(intervals):
        if disjoint and low <= disjoint[-1][1]:
            disjoint[-1] = (disjoint[-1][0], max(disjoint[-1][1], high))
        else:
            disjoint.append((low, high))
    return disjoint


def intersection(first: Sequence[Interval], second: Sequence[Interval]) -> list[Interval]:
    """Return what two unions of intervals share, leaving out single points."""
    overlaps = [(max(a[0], b[0]), min(a[1], b[1])) for a in first for b in second]
    return union([(low, high) for low, high in overlaps if low < high])


def sample_uniform(
    intervals: Sequence[Interval], size: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw numbers ``(size,)`` uniformly from disjoint intervals that are not single points."""
    low, high = np.array(intervals).T
    lengths = high - low
    place = rng.choice(len(lengths), size=size, p=lengths / lengths.sum())
    return np.asarray(low[place] + lengths[place] * rng.uniform(size=size))


def sample_spread(
    intervals: Sequence[Interval], size: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw rising numbers ``(size,)``, one in each of as many equal parts of disjoint intervals."""
    low, high = np.array(intervals).T
    ends = np.concatenate([[0.0], np.cumsum(high - low)])
    along = (np.arange(size) + rng.uniform(size=size)) / size * ends[-1]
    place = np.clip(np.searchsorted(ends, along, side="right") - 1, 0, len(low) - 1)
    return np.asarray(np.minimum(low[place] + along - ends[place], high[place]))


MPP_LIMITS: Final = (0.2, 0.6)
"""Finest and coarsest um/px of a training by default."""

MAX_ENLARGEMENT: Final = 2.5
"""An image is never enlarged by more than this: there is nothing there to see."""

_HALF_A_TILE_PX: Final = 112
_HARDLY_ENLARGED: Final = 1.1
_MIN_SPAN: Final = 1.25


def supported_range(
    size: tuple[int, int],
    mpp: float,
    detail: float | None = None,
    limits: tuple[float, float] = MPP_LIMITS,
) -> tuple[float, float]:
    """Return the finest and the coarsest um/px an image can be learnt from at.

    The finest is that of its pixels (enlarged by at most 1.1) or of its real detail, the
    coarsest that at which its short side fills half of a 224-px tile. A range narrower than
    a factor of 1.25 would tie the image to one scale: that of a small image is widened
    upwards, that of an image coarser than the limits downwards, by enlarging it.

    Parameters
    ----------
    size
        Width and height, px.
    mpp
        Scale of the pixels, um/px.
    detail
        um/px of the real detail where it is coarser than the pixels.
    limits
        Finest and coarsest um/px of the training.

    Returns
    -------
    tuple of float
        Finest and coarsest um/px, within the limits, to 0.01 um/px.

    Raises
    ------
    DataError
        The image is so coarse that it would be enlarged by more than 2.5.
    """
    low, high = limits
    real = max(mpp, detail or 0.0)
    if real > high * MAX_ENLARGEMENT:
        raise DataError(
            f"has {real:.3g} µm/px, too coarse for {high:g} µm/px (enlarged by more than "
            f"{MAX_ENLARGEMENT:g})"
        )
    finest = max(low, mpp / _HARDLY_ENLARGED, detail or 0.0)
    finest = max(low, min(finest, max(high / _MIN_SPAN, real / MAX_ENLARGEMENT)))
    half_filled = min(size) * mpp / _HALF_A_TILE_PX
    coarsest = min(high, max(half_filled, finest * _MIN_SPAN))
    finest = min(high, max(low, round(finest, 2)))
    return finest, max(finest, min(high, round(coarsest, 2)))


def is_tiny(size: tuple[int, int], mpp: float, mpp_range: tuple[float, float]) -> bool:
    """Tell whether an image fills less than a quarter of a tile's side at its finest scale."""
    return min(size) * mpp / mpp_range[0] < _HALF_A_TILE_PX / 2


def enlargement(mpp: float, detail: float | None, mpp_range: tuple[float, float]) -> float:
    """Return by how much an image is enlarged at its finest scale; 1 or less is not at all."""
    return max(mpp, detail or 0.0) / mpp_range[0]
