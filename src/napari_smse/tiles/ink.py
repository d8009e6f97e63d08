"""Distinguish ink from stained tissue of similar colours: ink is flat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import morphology

from napari_smse.tiles.glass import local_mean_and_deviation, window_px

_WINDOW_UM = 40.0
_FLAT, _NOISE_FACTOR = 0.05, 2.0
_EDGE_UM = 20.0
_SMALLEST_INK_UM2 = 5_000.0
_INK_SATURATION = 0.45
# What haematoxylin and eosin make of glass lies between, degrees; paler ink is recognised beyond.
_PINK_FROM, _PINK_TO = 275.0, 342.0
_PALE_INK_SATURATION = 0.1
_BLACK_ABSORBANCE = 0.45
_MIN_FLAT, _MIN_ON_GLASS = 0.4, 0.6


def find_flat_ink(
    dyed: NDArray[np.bool_],
    absorbance: NDArray[np.float32],
    hue: NDArray[np.float32],
    saturation: NDArray[np.float32],
    mpp: float,
    noise: float = 0.0,
) -> NDArray[np.bool_]:
    """Find ink strokes on glass whose colours might be those of tissue.

    Tissue is never as even as ink over tens of um, except for colloid, blood and the like,
    which lie within tissue and not on glass.

    Parameters
    ----------
    dyed
        Mask of what lies on the glass, (h, w).
    absorbance, hue, saturation
        Absorbance, hue and saturation of the overview, relative to the glass, (h, w).
    mpp
        Scale of the overview, um/px.
    noise
        Local standard deviation of the glass's absorbance.

    Returns
    -------
    (h, w)
    """
    mean, deviation = local_mean_and_deviation(absorbance, max(_WINDOW_UM, 5 * mpp), mpp)
    # The noise of a camera or of JPEG, in absorbance, grows as the light dwindles.
    flat = dyed & (deviation < _FLAT * mean + _NOISE_FACTOR * noise * 10**mean)
    ink = flat & _ink_coloured(absorbance, hue, saturation)
    ink = morphology.remove_small_objects(ink, max_size=int(_SMALLEST_INK_UM2 / mpp**2))
    if not ink.any():  # as on most slides; the rest takes as long as all before
        return np.zeros_like(flat)
    # The windows that straddle its edge, and the edge itself, are not flat.
    margin = window_px(_WINDOW_UM + _EDGE_UM, mpp, min_px=9) // 2 + 2
    pale = flat & (saturation > _PALE_INK_SATURATION)
    seeds = _on_glass(ink, dyed, margin)
    return np.asarray(_dilated(_connected_to(seeds, pale), margin) & dyed)


def _ink_coloured(
    absorbance: NDArray[np.float32], hue: NDArray[np.float32], saturation: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Strongly coloured, of a hue that H&E seldom has, or black."""
    pink = (hue > _PINK_FROM) & (hue < _PINK_TO)
    coloured = saturation > np.where(pink, _INK_SATURATION, _PALE_INK_SATURATION)
    return coloured | (absorbance > _BLACK_ABSORBANCE) & (saturation < _PALE_INK_SATURATION)


def _on_glass(ink: NDArray[np.bool_], dyed: NDArray[np.bool_], margin: int) -> NDArray[np.bool_]:
    """Those pieces that border on glass for the most part.

    Pieces beside each other count as one: strokes of several inks may lie so.
    """
    around = _dilated(ink, margin) & dyed
    groups, count = ndimage.label(around)
    rim = around & ~ndimage.binary_erosion(around, border_value=1)
    beside_glass = rim & _dilated(~dyed, 1)
    flat, area, edge, contact = (
        np.bincount(groups[marked], minlength=count + 1)
        for marked in (ink, around, rim, beside_glass)
    )
    chosen = (flat >= _MIN_FLAT * area) & (contact >= _MIN_ON_GLASS * edge)
    chosen[0] = False
    return np.asarray(ink & chosen[groups])


def _connected_to(seeds: NDArray[np.bool_], wider: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pieces of `wider` that hold a seed."""
    pieces, count = ndimage.label(seeds | wider)
    chosen = np.zeros(count + 1, dtype=bool)
    chosen[pieces[seeds]] = True
    return np.asarray(chosen[pieces])


def _dilated(mask: NDArray[np.bool_], margin: int) -> NDArray[np.bool_]:
    """Everything within a margin, px, along rows and columns."""
    return np.asarray(ndimage.maximum_filter(mask.view(np.uint8), 2 * margin + 1) > 0)
