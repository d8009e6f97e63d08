"""Tiles of one slide in the strength of another slide's stain."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_STRONG: Final = 0.95
"""Share of pixels that are paler than what counts as a slide's stain at its strongest."""

_PALEST: Final = 0.02
_AT_MOST: Final = 5.0
_LEVELS: Final = np.arange(256)


def strong_density(tiles: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return how strongly tiles are stained, ``(3,)``: of each channel, an optical density.

    It is a quantile near the top, as in Macenko et al. (ISBI 2009): how much glass or how many
    nuclei there are moves it less than a mean.

    Parameters
    ----------
    tiles
        RGB, ``(n, h, w, 3)``.
    """
    # The darkest pixels are those of the lowest values.
    dark = np.quantile(tiles.reshape(-1, 3), 1 - _STRONG, axis=0)
    return np.maximum(_density(dark), _PALEST)


def transfer_stain(
    tile: NDArray[np.uint8], own: NDArray[np.float64], other: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """Return a tile stained as strongly as others are; glass stays glass.

    Parameters
    ----------
    tile
        RGB, ``(h, w, 3)``.
    own, other
        How strongly its slide, and the other one, are stained: as `strong_density` returns it.
    """
    factor = np.clip(other / own, 1 / _AT_MOST, _AT_MOST)
    values = np.exp(-_density(_LEVELS)[:, None] * factor) * 256 - 1
    table = values.round().clip(0, 255).astype(np.uint8)
    return np.stack([table[tile[..., channel], channel] for channel in range(3)], axis=-1)


def _density(values: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = -np.log((np.asarray(values, dtype=np.float64) + 1) / 256)
    return found
