"""What a tile looks like, in a few numbers that say nothing of the diagnosis: stain and sharpness.

A network maps whatever it is shown to some embedding, so that ink or a blurred field may lie in the
middle of a class. Colour and sharpness are what such tiles differ in, and they are cheap to read.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

MEASURES: Final = (
    "optical density of red",
    "optical density of green",
    "optical density of blue",
    "spread of red",
    "spread of green",
    "spread of blue",
    "share of red in the stain",
    "share of green in the stain",
    "spread of the share of red",
    "spread of the share of green",
    "stained share",
    "red with green",
    "green with blue",
    "red with blue",
    "fine detail",
    "coarse detail",
    "fine over coarse detail",
)
"""What is measured, in the order of the columns."""

_FINE: Final = MEASURES.index("fine detail")
_SPREAD: Final = MEASURES.index("spread of green")
_DENSITY: Final = -np.log10((np.arange(256, dtype=np.float32) + 1) / 256)
_STAINED: Final = 0.25
"""Optical density over the three channels from which a pixel counts as stained."""
_FEWEST: Final = 50
_DETAIL_PX: Final = 160
_TINY: Final = 1e-3


def appearance_features(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what tiles look like.

    Parameters
    ----------
    tiles
        ``(n, h, w, 3)`` RGB.

    Returns
    -------
    ``(n, len(MEASURES))``: means and spreads of optical density and detail as logarithms, shares
    and correlations as they are.
    """
    found = [_appearance(tile) for tile in tiles]
    return np.stack(found) if found else np.empty((0, len(MEASURES)), np.float32)


def focus(appearance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how sharp tiles are: fine detail over contrast, whatever the stain.

    Real tissue that is sharp has 0.3 to 0.9; blurred by a Gaussian of 1.5 px, at the scale at which
    it is scored, 0.05 to 0.2 (CMU-1; a drawn slide has less where it is sharp). Empty glass has no
    sharpness to speak of.

    Parameters
    ----------
    appearance
        ``(n, len(MEASURES))``, as `appearance_features` gives it.

    Returns
    -------
    ``(n,)``; NaN where nothing was measured.
    """
    detail = np.maximum(np.exp(appearance[:, _FINE]) - _TINY, 0)
    return np.asarray(detail / np.exp(appearance[:, _SPREAD]), dtype=np.float32)


def _appearance(tile: NDArray[np.uint8]) -> NDArray[np.float32]:
    # Channels first: numpy sums long rows ten times faster than many rows of three.
    density = _DENSITY.take(np.ascontiguousarray(tile[::3, ::3].transpose(2, 0, 1)).reshape(3, -1))
    pixels = density.shape[1]
    stained = density.compress(density.sum(axis=0) > _STAINED, axis=1)
    share = stained.shape[1] / pixels
    if stained.shape[1] < _FEWEST:
        stained = density
    mean = stained.mean(axis=1)
    shares = stained[:2] / (stained.sum(axis=0) + _TINY)
    average = density.mean(axis=1)
    centred = density - average[:, None]
    spread = np.sqrt((centred**2).mean(axis=1))
    together = (centred @ centred.T) / pixels / (np.outer(spread, spread) + _TINY**2)
    fine, coarse = _detail(tile)
    return np.array(
        [
            *np.log(average + 10 * _TINY),
            *np.log(spread + 5 * _TINY),
            *(mean[:2] / (mean.sum() + _TINY)),
            *shares.std(axis=1),
            share,
            together[0, 1],
            together[1, 2],
            together[0, 2],
            np.log(fine + _TINY),
            np.log(coarse + _TINY) - np.log(spread[1] + 10 * _TINY),
            np.log(fine + _TINY) - np.log(coarse + _TINY),
        ],
        dtype=np.float32,
    )


def _detail(tile: NDArray[np.uint8]) -> tuple[float, float]:
    """Return the mean absolute Laplacian of the green density, and that at half the resolution."""
    top, left = (max(0, (edge - _DETAIL_PX) // 2) for edge in tile.shape[:2])
    green = _DENSITY.take(tile[top : top + _DETAIL_PX, left : left + _DETAIL_PX, 1])
    height, width = (edge // 2 * 2 for edge in green.shape)
    even, odd = green[0:height:2, :width], green[1:height:2, :width]
    half: NDArray[np.float32] = even[:, ::2] + even[:, 1::2] + odd[:, ::2] + odd[:, 1::2]
    half /= 4
    return _laplacian(green), _laplacian(half)


def _laplacian(values: NDArray[np.float32]) -> float:
    if min(values.shape) < 3:
        return 0.0
    inner = 4 * values[1:-1, 1:-1]
    around = values[:-2, 1:-1] + values[2:, 1:-1] + values[1:-1, :-2] + values[1:-1, 2:]
    return float(np.abs(inner - around).mean())
