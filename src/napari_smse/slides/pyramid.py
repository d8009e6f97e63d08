"""A slide's levels as lazy arrays, which are read where they are indexed."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image

from napari_smse.slides.cache import ArrayCache
from napari_smse.slides.slide import Slide

_CHUNK = 512
_CHUNK_SIDES = range(128, 1025)
_MAX_READERS = 4

ReadBox = Callable[[int, int, int, int], NDArray[np.uint8]]
"""Reads x, y, width, height of a level, in level px, into (height, width, 3)."""


class LevelArray:
    """One level as an array of shape (height, width, 3), uint8 RGB; safe between threads.

    Indexing reads the chunks it needs, several at once, and keeps those used last.

    Parameters
    ----------
    read : callable
        Reads a box that lies inside the level.
    index : int
        Place in the pyramid; it keeps the chunks of the levels apart in ``chunk_cache``.
    size : tuple of int
        (width, height), level px.
    chunk : tuple of int
        (width, height) of a chunk, level px.
    downsample : float
        Level-0 px one of these pixels spans, exactly; the ratio of the shapes is rounded.
    chunk_cache : ArrayCache
        Shared by the levels of one slide.
    """

    dtype = np.dtype(np.uint8)
    ndim = 3
    saturation = 1.0
    """How much of the colour indexing gives, 0 to 1, such as to show grey tissue under a map; boxes
    are read as they are."""

    def __init__(
        self,
        read: ReadBox,
        index: int,
        size: tuple[int, int],
        chunk: tuple[int, int],
        downsample: float,
        chunk_cache: ArrayCache,
    ) -> None:
        self._read = read
        self._index = index
        self._cache = chunk_cache
        self.shape = (size[1], size[0], 3)
        self.chunks = (min(chunk[1], size[1]), min(chunk[0], size[0]), 3)
        self.downsample = downsample

    def __repr__(self) -> str:
        """Name the shape and the downsample."""
        return f"<LevelArray {self.shape}, downsample {self.downsample:g}>"

    def __deepcopy__(self, memo: dict[int, Any]) -> LevelArray:
        """Return itself, as its pixels cannot be changed; napari copies a layer's data."""
        return self

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.shape[0]

    @property
    def size(self) -> int:
        """Number of values."""
        return self.shape[0] * self.shape[1] * 3

    @property
    def nbytes(self) -> int:
        """Bytes the level would take in memory."""
        return self.size

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Read the whole level."""
        if copy is False:
            raise ValueError("a level is read from its file: it cannot be had without a copy")
        return self[:].astype(dtype or self.dtype, copy=False)

    def __getitem__(self, key: Any) -> NDArray[np.uint8]:
        """Read rows, columns and colours given by whole numbers and slices."""
        rows, columns, colours = self._full_key(key)
        top, bottom, row_index = _span(rows, self.shape[0])
        left, right, column_index = _span(columns, self.shape[1])
        box = self.shown_box(left, top, right - left, bottom - top)
        if self.saturation < 1:
            box = _desaturated(box, self.saturation)
        # One axis after the other, from the last, so that whole numbers do not move them.
        indexed: NDArray[np.uint8] = box[:, :, colours][:, column_index][row_index]
        return indexed

    def shown_box(self, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Return the box that indexing gives."""
        return self.read_box(x, y, width, height)

    def cached_chunks(
        self, x: int, y: int, width: int, height: int
    ) -> dict[tuple[int, int], NDArray[np.uint8] | None]:
        """Return the chunks of a box inside the level by left and top; None for those not read."""
        places = self._places(x, y, width, height)
        return {place: self._cache.get((self._index, *place)) for place in places}

    def cached_box(self, x: int, y: int, width: int, height: int) -> NDArray[np.uint8] | None:
        """Return a box inside the level without reading; None if it was not read before."""
        out = np.empty((height, width, 3), dtype=np.uint8)
        for place, chunk in self.cached_chunks(x, y, width, height).items():
            if chunk is None:
                return None
            paste(out, x, y, place, chunk)
        return out

    def read_box(self, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Read a box inside the level, level px, into (height, width, 3)."""
        out = np.empty((height, width, 3), dtype=np.uint8)
        if not out.size:
            return out
        fill = partial(self._fill, out, x, y)
        places = list(self._places(x, y, width, height))
        if len(places) == 1:
            fill(places[0])
        else:
            list(_readers().map(fill, places))
        return out

    def read_serially(self, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Read as `read_box` but in this thread.

        A reader that waited for other readers could wait for ever.
        """
        out = np.empty((height, width, 3), dtype=np.uint8)
        for place in self._places(x, y, width, height):
            self._fill(out, x, y, place)
        return out

    def _full_key(self, key: Any) -> tuple[Any, Any, Any]:
        parts = list(key) if isinstance(key, tuple) else [key]
        if any(part is None or isinstance(part, np.ndarray | list) for part in parts):
            raise IndexError("a level takes whole numbers and slices only")
        missing = [slice(None)] * (3 - sum(part is not Ellipsis for part in parts))
        if Ellipsis in parts:
            place = parts.index(Ellipsis)
            parts[place : place + 1] = missing
        else:
            parts += missing
        if len(parts) != 3:
            raise IndexError(f"a level has 3 axes, not {len(parts)}")
        return parts[0], parts[1], parts[2]

    def _places(self, x: int, y: int, width: int, height: int) -> Iterator[tuple[int, int]]:
        chunk_height, chunk_width, _ = self.chunks
        for top in range(y - y % chunk_height, y + height, chunk_height):
            for left in range(x - x % chunk_width, x + width, chunk_width):
                yield left, top

    def _fill(self, out: NDArray[np.uint8], x: int, y: int, place: tuple[int, int]) -> None:
        paste(out, x, y, place, self._chunk(*place))

    def _chunk(self, left: int, top: int) -> NDArray[np.uint8]:
        key = (self._index, left, top)
        chunk = self._cache.get(key)
        if chunk is None:
            width = min(self.chunks[1], self.shape[1] - left)
            height = min(self.chunks[0], self.shape[0] - top)
            chunk = self._read(left, top, width, height)
            self._cache.put(key, chunk)
        return chunk


def pyramid_arrays(
    slide: Slide, *, coarsest_side: int = 1024, cache_bytes: int = 256 * 2**20
) -> list[LevelArray]:
    """Return a slide's levels as arrays, finest first, made coarser where it has too few.

    Parameters
    ----------
    slide : Slide
        The slide; it must stay open while the arrays are read.
    coarsest_side : int
        Levels are halved from the coarsest stored one until the longer side is at most
        this: napari loads the coarsest level whole.
    cache_bytes : int
        Bytes of decoded pixels the levels keep together.
    """
    chunk_cache = ArrayCache(cache_bytes)
    arrays = [
        LevelArray(
            partial(slide.read_level, index),
            index,
            (level.width, level.height),
            _chunk_size(level.tile_width, level.tile_height),
            level.downsample,
            chunk_cache,
        )
        for index, level in enumerate(slide.levels)
    ]
    while max(arrays[-1].shape[:2]) > max(1, coarsest_side):
        arrays.append(_halved(arrays[-1], len(arrays), chunk_cache))
    return arrays


def paste(
    out: NDArray[np.uint8], x: int, y: int, place: tuple[int, int], chunk: NDArray[np.uint8]
) -> None:
    """Lay what a box, which begins at x, y, has of a chunk into it."""
    left, top = place
    x0, y0 = max(x, left), max(y, top)
    x1 = min(x + out.shape[1], left + chunk.shape[1])
    y1 = min(y + out.shape[0], top + chunk.shape[0])
    out[y0 - y : y1 - y, x0 - x : x1 - x] = chunk[y0 - top : y1 - top, x0 - left : x1 - left]


def _halved(finer: LevelArray, index: int, chunk_cache: ArrayCache) -> LevelArray:
    size = (-(-finer.shape[1] // 2), -(-finer.shape[0] // 2))
    return LevelArray(
        partial(_read_halved, finer),
        index,
        size,
        (_CHUNK, _CHUNK),
        finer.downsample * 2,
        chunk_cache,
    )


def _read_halved(finer: LevelArray, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
    """Return the mean of each 2 x 2 px of the finer level; an odd edge counts twice."""
    right = min(2 * (x + width), finer.shape[1])
    bottom = min(2 * (y + height), finer.shape[0])
    fine = finer.read_serially(2 * x, 2 * y, right - 2 * x, bottom - 2 * y)
    odd = ((0, 2 * height - fine.shape[0]), (0, 2 * width - fine.shape[1]), (0, 0))
    if any(after for _, after in odd):
        fine = np.pad(fine, odd, mode="edge")
    total = fine[0::2, 0::2].astype(np.uint16)
    for rows, columns in ((0, 1), (1, 0), (1, 1)):
        total += fine[rows::2, columns::2]
    return ((total + 2) // 4).astype(np.uint8)


def _chunk_size(tile_width: int, tile_height: int) -> tuple[int, int]:
    """Keep a file's tiles; strips and tiny or huge tiles become squares."""
    if tile_width in _CHUNK_SIDES and tile_height in _CHUNK_SIDES:
        return tile_width, tile_height
    return _CHUNK, _CHUNK


def _desaturated(rgb: NDArray[np.uint8], saturation: float) -> NDArray[np.uint8]:
    if not rgb.size:
        return rgb
    picture = Image.fromarray(rgb)
    return np.asarray(Image.blend(picture.convert("L").convert("RGB"), picture, saturation))


def _span(index: Any, length: int) -> tuple[int, int, Any]:
    """Return first and last+1 place an index touches and the index within them."""
    if isinstance(index, slice):
        places = range(*index.indices(length))
        if not places:
            return 0, 0, slice(None)
        return min(places), max(places) + 1, slice(None, None, places.step)
    place = operator.index(index)
    if not -length <= place < length:
        raise IndexError(f"place {place} is outside a side of {length}")
    return place % length, place % length + 1, 0


@cache
def _readers() -> ThreadPoolExecutor:
    workers = max(2, min(_MAX_READERS, os.cpu_count() or 1))
    return ThreadPoolExecutor(workers, thread_name_prefix="smse-slide")
