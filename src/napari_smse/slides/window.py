"""Level pixels held once and cut into many tiles."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_smse.errors import RegionError
from napari_smse.slides.region import Region

Box = tuple[float, float, float, float]
"""Left, top, width, height in level-0 px."""

# Bilinear resizing by s takes in s source pixels to each side of an output pixel's centre.
_SUPPORT = 1.0
_ROUNDING = 1e-6

_MAX_OFFSET = 0.02
"""Source px that an output pixel's centre may be off: some grey levels then differ by one."""


def filter_margin(reduction: float) -> int:
    """Return the source pixels a crop needs around its box when it shrinks ``reduction`` times."""
    return math.ceil(_SUPPORT * max(1.0, reduction)) + 2


@dataclass(frozen=True)
class Window:
    """A piece of one level, from which tiles of several scales are cut.

    Parameters
    ----------
    pixels : numpy.ndarray
        uint8 RGB of shape (height, width, 3), level pixels.
    x, y : float
        Position of the left and top edge of ``pixels``, level-0 px.
    downsample : float
        Level-0 px that one of these pixels spans.
    """

    pixels: NDArray[np.uint8]
    x: float
    y: float
    downsample: float

    def crop(self, region: Region, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Cut a region and bring it to a size, anti-aliased.

        Parameters
        ----------
        region : Region
            Region to cut, level-0 px; it must lie inside the window.
        size : tuple of int
            (width, height) of the result, px.

        Returns
        -------
        numpy.ndarray
            uint8 RGB of shape (height, width, 3).

        Raises
        ------
        RegionError
            When the region is empty or reaches outside the window.
        """
        return self.crop_box((region.x, region.y, region.width, region.height), size)

    def crop_box(self, box: Box, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Cut a box given in fractional level-0 px, as `crop` does."""
        left, top = (box[0] - self.x) / self.downsample, (box[1] - self.y) / self.downsample
        width, height = box[2] / self.downsample, box[3] / self.downsample
        if min(width, height, *size) <= 0:
            raise RegionError(f"a region of {box[2]:g} x {box[3]:g} px is empty; give it an area")
        x0, x1, left = _source_span(left, width, size[0], self.pixels.shape[1])
        y0, y1, top = _source_span(top, height, size[1], self.pixels.shape[0])
        # Only the pixels the filter reaches are handed over: Pillow copies what it is given.
        image = Image.fromarray(np.ascontiguousarray(self.pixels[y0:y1, x0:x1]))
        edges = (left, top, min(left + width, x1 - x0), min(top + height, y1 - y0))
        # A copy, as what Pillow hands out cannot be written to, and torch warns of that.
        return np.array(image.resize(size, Image.Resampling.BILINEAR, box=edges))

    def framed(self, region: Region, size: tuple[int, int]) -> NDArray[np.uint8] | None:
        """Return a region and around it a frame of one pixel of the result, as it was read.

        Resizing it by any anti-aliased bilinear filter to ``size`` and two pixels more gives, but
        for the outermost pixels, what `crop` gives: centres are less than 0.02 source px off.

        Parameters
        ----------
        region : Region
            Region to cut, level-0 px.
        size : tuple of int
            (width, height) of the result, px.

        Returns
        -------
        numpy.ndarray or None
            None when the region or a pixel of the result is no whole number of this level's
            pixels, or the frame reaches outside the window. The usual scales, 0.25, 0.5 or
            1 um/px, are whole on most slides' finest level.
        """
        rows = _integral_span(region.y - self.y, region.height, size[1], self)
        columns = _integral_span(region.x - self.x, region.width, size[0], self)
        if rows is None or columns is None:
            return None
        if rows.stop > self.pixels.shape[0] or columns.stop > self.pixels.shape[1]:
            return None
        return self.pixels[rows, columns]


def _integral_span(start: float, length: float, out: int, window: Window) -> slice | None:
    """Return the source px of a frame and its content, if all its edges are integral."""
    start, length = start / window.downsample, length / window.downsample
    first, extent, frame = round(start), round(length), round(length / out)
    off = max(abs(first - start), abs(extent - length), abs(frame - length / out))
    if off > _MAX_OFFSET or frame < 1 or first < frame:
        return None
    return slice(first - frame, first + extent + frame)


def _source_span(start: float, length: float, out: int, available: int) -> tuple[int, int, float]:
    """Return first and last+1 source pixel the filter needs, and the start within that span."""
    if start < -_ROUNDING or start + length > available + _ROUNDING:
        raise RegionError("the region reaches outside the window; cut inside it")
    start = max(0.0, start)
    margin = filter_margin(length / out)
    first = max(0, math.floor(start) - margin)
    last = min(available, math.ceil(start + length) + margin)
    return first, last, start - first
