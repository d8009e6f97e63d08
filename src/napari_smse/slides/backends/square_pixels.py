"""A slide whose pixels are not square, read as if they were."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_smse.slides.backends.base import Backend, Level
from napari_smse.slides.region import Region


class SquarePixels:
    """Stretches the coarser side of another backend's pixels to the finer one.

    Each pixel is interpolated between the two nearest of the file, at the same place in whatever
    box it is read.

    Parameters
    ----------
    backend : Backend
        Reads the file.
    ratio : float
        Height of its pixels, over their width.
    """

    def __init__(self, backend: Backend, ratio: float) -> None:
        self._backend = backend
        self.name = backend.name
        self._across, self._down = max(1.0, 1 / ratio), max(1.0, ratio)
        self.levels = tuple(self._stretched(level) for level in backend.levels)
        bounds = backend.facts.bounds
        self.facts = replace(
            backend.facts, bounds=None if bounds is None else self._stretched_region(bounds)
        )

    def read_level(self, level: int, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Return level pixels (height, width, 3) of a box that lies inside the level."""
        stored = self._backend.levels[level]
        columns = _Places(x, width, self._across, stored.width)
        rows = _Places(y, height, self._down, stored.height)
        box = (columns.first, rows.first, columns.count, rows.count)
        pixels = self._backend.read_level(level, *box)
        return columns.interpolated(rows.interpolated(pixels, axis=0), axis=1)

    def associated_image(self, name: str) -> NDArray[np.uint8]:
        """Return a picture that belongs to the slide, as it is."""
        return self._backend.associated_image(name)

    def close(self) -> None:
        """Close the file."""
        self._backend.close()

    def _stretched(self, level: Level) -> Level:
        return replace(
            level,
            width=round(level.width * self._across),
            height=round(level.height * self._down),
            tile_width=round(level.tile_width * self._across),
            tile_height=round(level.tile_height * self._down),
        )

    def _stretched_region(self, region: Region) -> Region:
        x, width = (round(side * self._across) for side in (region.x, region.width))
        y, height = (round(side * self._down) for side in (region.y, region.height))
        return Region(x, y, width, height)


class _Places:
    """Where the pixels of a stretched side lie among those of the file.

    Parameters
    ----------
    start, length
        Of the box, stretched px.
    factor
        By which the side is stretched, 1 at least.
    side
        Length of the file's side, px.
    """

    def __init__(self, start: int, length: int, factor: float, side: int) -> None:
        self._is_whole = factor == 1
        centres = (np.arange(start, start + length) + 0.5) / factor - 0.5
        places = np.clip(centres, 0, side - 1)
        before = np.floor(places).astype(np.int64)
        after = np.minimum(before + 1, side - 1)
        self.first = int(before[0])
        self.count = int(after[-1]) + 1 - self.first
        self._before, self._after = before - self.first, after - self.first
        self._share = (places - before).astype(np.float32)

    def interpolated(self, pixels: NDArray[np.uint8], axis: int) -> NDArray[np.uint8]:
        if self._is_whole:
            return np.asarray(pixels.take(self._before, axis=axis))
        shape = [1, 1, 1]
        shape[axis] = -1
        share = self._share.reshape(shape)
        before = pixels.take(self._before, axis=axis).astype(np.float32)
        after = pixels.take(self._after, axis=axis)
        return np.asarray(np.rint(before + (after - before) * share), dtype=np.uint8)
