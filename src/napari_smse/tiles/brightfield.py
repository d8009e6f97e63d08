"""Tell a stained section on bright glass from anything else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import NotBrightfieldError

DARK = 45
"""A pixel whose brightest channel is below this transmits no light (0..255)."""

_MIN_LIT_FRACTION = 0.01
_MIN_LIT_LUMINANCE = 80.0
_MAX_DARK_FRACTION = 0.5
_MAX_DARK_BESIDE_DENSE = 0.1
_MAX_SATURATION = 0.9
_GLASS = 170
_MIN_GLASS_FRACTION = 0.02
_MAX_SAMPLED_PIXELS = 1_000_000
"""Fractions of so many pixels are as good as those of all."""
_REC709 = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)


def is_brightfield(rgb: NDArray[np.uint8]) -> bool:
    """Whether an overview shows transmitted light rather than fluorescence.

    In transmitted light what is not dark is light: glass, or stained tissue,
    which still lets most of the lamp through. In fluorescence the background is
    black and the signal a pure, dim colour. Black borders and missing parts of
    a brightfield scan pass as long as some bright glass is left beside them; a field
    full of dense, dark tissue passes as it has no black background.

    Parameters
    ----------
    rgb
        Overview of the slide, (h, w, 3).
    """
    stride = max(1, int((rgb.shape[0] * rgb.shape[1] / _MAX_SAMPLED_PIXELS) ** 0.5))
    rgb = rgb[::stride, ::stride]
    lit = brightest_channel(rgb) >= DARK
    if lit.mean() < _MIN_LIT_FRACTION:
        return False
    lit_pixels, dark_fraction = rgb[lit].astype(np.float32), 1 - lit.mean()
    darkest = lit_pixels.min(axis=1)
    if float(np.median(lit_pixels @ _REC709)) < _MIN_LIT_LUMINANCE:
        saturation = float(np.median(1 - darkest / lit_pixels.max(axis=1)))
        return bool(dark_fraction <= _MAX_DARK_BESIDE_DENSE and saturation <= _MAX_SATURATION)
    glass_fraction = float((darkest >= _GLASS).mean())
    return not (dark_fraction > _MAX_DARK_FRACTION and glass_fraction < _MIN_GLASS_FRACTION)


def brightest_channel(rgb: NDArray[np.number]) -> NDArray[np.number]:
    """Return the value of each pixel's brightest channel, (h, w)."""
    return np.asarray(np.maximum(np.maximum(rgb[..., 0], rgb[..., 1]), rgb[..., 2]))


def require_brightfield(rgb: NDArray[np.uint8], path: Path) -> None:
    """Refuse a slide that `is_brightfield` does not recognise.

    Raises
    ------
    NotBrightfieldError
        If the overview is dark-field, fluorescence, or black.
    """
    if not is_brightfield(rgb):
        raise NotBrightfieldError(
            f"{path.name} is not a brightfield slide (its background is dark, as in "
            "fluorescence): only H&E sections on bright glass can be scored."
        )
