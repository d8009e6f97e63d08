"""Find the bare glass on an overview, and whether there is any."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_FLAT_UM, _EDGE_UM = 20.0, 12.0
_FLAT_ABSORBANCE, _MAX_UNEVEN = 0.05, 0.006
_MIN_FLAT_FRACTION, _SLIDE_FLAT_FRACTION = 0.005, 0.25
_WIDEST_FIELD_UM = 3_000.0
_DEFAULT_WHITE = 245.0
_DIMMEST_WHITE = 215.0
# Green is what H&E absorbs most: light tinted so has gone through tissue. Lamps and cameras tint
# glass too, but nothing else is as flat over much of a slide.
_TINT, _LAMP_TINT = 0.06, 0.15
ROWS_AT_ONCE = 16
"""Rows of an overview that are computed at once, where each pixel is for itself."""


@dataclass(frozen=True)
class Glass:
    """The light that comes through where there is nothing.

    Parameters
    ----------
    white
        Its colour, 0..255, (3,); a default one if no glass is found.
    surrounds
        Tissue lies on it, as on a slide, rather than filling a camera's field.
    noise
        Local standard deviation of its absorbance.
    bright_is_tissue
        There is nothing but tissue: even the brightest pixels are stained.
    """

    white: NDArray[np.float32]
    surrounds: bool
    noise: float
    bright_is_tissue: bool = False


def find_glass(rgb: NDArray[np.float32], mpp: float) -> Glass:
    """Find the colour of the glass, which is bright, hardly tinted, and flat.

    The brightest pixels alone do not show it: where a field is tissue from edge to edge,
    they are pale tissue.

    Parameters
    ----------
    rgb
        Smoothed overview, 0..255, (h, w, 3).
    mpp
        Its scale, um/px.
    """
    brightest = np.percentile(rgb, 99, axis=(0, 1)).astype(np.float32)
    flat_fraction, noise = _flat_fraction_and_noise(rgb, brightest, mpp)
    wide = max(rgb.shape[:2]) * mpp > _WIDEST_FIELD_UM
    max_tint = _LAMP_TINT if wide and flat_fraction >= _SLIDE_FLAT_FRACTION else _TINT
    if _stain_tint(brightest) > max_tint:
        white = np.full(3, _DEFAULT_WHITE, np.float32)
        return Glass(white, surrounds=False, noise=noise, bright_is_tissue=True)
    if flat_fraction < _MIN_FLAT_FRACTION:
        brightest = np.maximum(brightest, np.float32(_DIMMEST_WHITE))
    return Glass(brightest, surrounds=wide or flat_fraction >= _SLIDE_FLAT_FRACTION, noise=noise)


def _stain_tint(colour: NDArray[np.float32]) -> float:
    """Saturation of a colour that lacks green; 0 for other colours."""
    red, green, blue = (float(value) for value in colour)
    brightest = max(red, green, blue, 1.0)
    return (brightest - green) / brightest if green <= min(red, blue) else 0.0


def _flat_fraction_and_noise(
    rgb: NDArray[np.float32], white: NDArray[np.float32], mpp: float
) -> tuple[float, float]:
    """Fraction of the pixels nearly as white and like all around them, and their noise."""
    absorbance = np.empty(rgb.shape[:2], np.float32)
    # A few rows at a time: what lies between the steps then stays in the processor's cache.
    for top in range(0, len(rgb), ROWS_AT_ONCE):
        rows = slice(top, top + ROWS_AT_ONCE)
        absorbance[rows] = _absorbance(rgb[rows], white)
    _, deviation = local_mean_and_deviation(absorbance, _FLAT_UM, mpp)
    flat = (absorbance < _FLAT_ABSORBANCE) & (deviation < _MAX_UNEVEN)
    return float(flat.mean()), float(np.median(deviation[flat])) if flat.any() else 0.0


def _absorbance(rgb: NDArray[np.float32], white: NDArray[np.float32]) -> NDArray[np.float32]:
    product = np.ones(rgb.shape[:2], np.float32)
    for c in range(3):
        product *= np.clip(rgb[..., c] / max(white[c], np.float32(1)), 1 / 255, 1)
    return np.asarray(np.log10(product) / -3, np.float32)


def is_uneven(absorbance: NDArray[np.float32], mpp: float) -> NDArray[np.bool_]:
    """Where absorbance changes within a few um, as it does in tissue however pale, (h, w)."""
    _, deviation = local_mean_and_deviation(absorbance, _FLAT_UM, mpp)
    # A window that only reaches tissue is uneven too, so that its half is taken off the rim.
    size = window_px(_FLAT_UM + _EDGE_UM, mpp, min_px=3)
    uneven = (deviation > _MAX_UNEVEN).view(np.uint8)
    return np.asarray(ndimage.minimum_filter(uneven, size, mode="nearest") > 0)


def local_mean_and_deviation(
    values: NDArray[np.float32], window_um: float, mpp: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation of the square around each pixel.

    Parameters
    ----------
    values
        Values of an overview, (h, w).
    window_um
        Edge of the square; it is at least 3 px.
    mpp
        Scale of the overview, um/px.
    """
    size = window_px(window_um, mpp, min_px=3)
    mean = ndimage.uniform_filter(values, size, mode="nearest")
    variance = ndimage.uniform_filter(values * values, size, mode="nearest")
    variance -= mean * mean
    return mean, np.sqrt(np.maximum(variance, 0))


def window_px(window_um: float, mpp: float, min_px: int) -> int:
    """Odd edge of a window, px."""
    return max(min_px, round(window_um / mpp) // 2 * 2 + 1)
