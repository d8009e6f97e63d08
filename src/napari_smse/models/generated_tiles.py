"""Generated tiles, to try networks with.

They come from integer arithmetic alone, so they are the same on every machine and with every numpy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def generated_tile(number: int, height: int = 224, width: int = 224) -> NDArray[np.uint8]:
    """Return an H&E-coloured tile ``(height, width, 3)`` of dark nuclei on pink stroma.

    Parameters
    ----------
    number
        Number of the tile; nuclear size, density, pleomorphism and stain vary with it.
    height, width
        Size in px.
    """
    size, spacing = 3 + number % 4 * 2, 12 + number // 4 % 3 * 7
    y, x = np.mgrid[0:height, 0:width].astype(np.int64)
    grain = _hash(x, y, number) % 17 - 8
    wave = (y * 3 + x * (1 + number % 5)) // 16 % 2
    stroma = np.stack([222 - 9 * wave, 168 - 22 * wave, 196 - 10 * wave], axis=-1)
    tile = stroma + grain[..., None]
    inside = _nuclei(x, y, spacing, size, number)
    nucleus = np.array([96 + number % 3 * 14, 62 + number % 3 * 12, 142])
    tile = np.where(inside[..., None], nucleus + 2 * grain[..., None], tile)
    return np.clip(tile, 0, 255).astype(np.uint8)


def _nuclei(
    x: NDArray[np.int64], y: NDArray[np.int64], spacing: int, size: int, number: int
) -> NDArray[np.bool_]:
    """Mark discs of varying radius, one in each cell of a jittered lattice."""
    column, row = x // spacing, y // spacing
    jitter = _hash(column, row, number + 101)
    centre_x = column * spacing + spacing // 2 + jitter % 5 - 2
    centre_y = row * spacing + spacing // 2 + jitter // 8 % 5 - 2
    radius = size + jitter // 64 % (1 + number % 4 * 2)
    return np.asarray((x - centre_x) ** 2 + (y - centre_y) ** 2 <= radius**2)


def _hash(x: NDArray[np.int64], y: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return a well-mixed non-negative integer for each position."""
    mixed = (x * 73856093) ^ (y * 19349663) ^ (seed * 83492791)
    mixed = (mixed ^ (mixed >> 13)) * 1274126177 % 2**31
    return np.asarray(mixed ^ (mixed >> 16))
