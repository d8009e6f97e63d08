"""Stain and scanner jitter, against the shift between laboratories."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

# Rows: haematoxylin, eosin, residual (Ruifrok and Johnston 2001), as optical densities.
STAINS: Final[NDArray[np.float64]] = np.array(
    [[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]]
)
_DENSITY: Final = -np.log((np.arange(256, dtype=np.float32) + 1) / 256)


def jitter_stain(
    image: NDArray[np.uint8], rng: np.random.Generator, strength: float = 1.0
) -> NDArray[np.uint8]:
    """Return `image` as another laboratory and scanner might have given it.

    Amounts of stain vary by a factor and an offset, the stains' own colours turn a
    little, and the white balance and the exposure change.

    Parameters
    ----------
    image
        RGB ``(h, w, 3)``.
    rng
        Source of randomness.
    strength
        1 is strong, 0 changes nothing.
    """
    amounts = np.exp(rng.normal(0, 0.3 * strength, 3))
    turned = STAINS * np.exp(rng.normal(0, 0.15 * strength, (3, 3)))
    matrix = np.linalg.inv(STAINS) @ np.diag(amounts) @ turned
    offset = rng.normal(0, 0.03 * strength, 3) + rng.normal(0, 0.05 * strength)
    density = _DENSITY[image] @ matrix.astype(np.float32) + offset.astype(np.float32)
    pixels: NDArray[np.uint8] = np.clip(np.exp(-density) * 256 - 0.5, 0, 255).astype(np.uint8)
    return pixels
