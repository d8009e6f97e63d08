"""A slide's levels for the screen: what is not fetched yet is shown coarser, and comes later."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_smse.slides.pyramid import LevelArray, paste, pyramid_arrays
from napari_smse.slides.slide import Slide

_AT_ONCE: Final = 8
_MOST_WANTED: Final = 512
RETRY_SECONDS: Final = 10.0
"""Before a chunk that could not be read is asked for again."""

Fetched = Callable[[Exception | None], None]
"""Called in a thread after each chunk, with what went wrong if something did."""

_Key = tuple[int, int, int]


def progressive_pyramid(slide: Slide, fetched: Fetched) -> list[LevelArray]:
    """Return a slide's levels of which indexing never waits for the network.

    The coarsest level is read now. Of the others, indexing gives what is there, fills the rest from
    coarser levels, and fetches it; reading boxes waits, and is exact.

    Parameters
    ----------
    slide
        The slide; it must stay open while the levels are read.
    fetched
        Called when indexing again would give more.
    """
    levels = pyramid_arrays(slide)
    overview = np.asarray(levels[-1])
    fetcher = ChunkFetcher(fetched)
    return [
        *(
            ProgressiveLevel(level, levels[number + 1 :], overview, fetcher)
            for number, level in enumerate(levels[:-1])
        ),
        levels[-1],
    ]


class ProgressiveLevel(LevelArray):
    """A level that is shown before it is there.

    Parameters
    ----------
    level
        The level, which is read when there is time.
    coarser
        Levels of the same slide, finest first.
    overview
        Pixels of the last of them, (h, w, 3).
    fetcher
        What reads.
    """

    def __init__(
        self,
        level: LevelArray,
        coarser: Sequence[LevelArray],
        overview: NDArray[np.uint8],
        fetcher: ChunkFetcher,
    ) -> None:
        size, chunk = level.shape[1::-1], level.chunks[1::-1]
        super().__init__(level._read, level._index, size, chunk, level.downsample, level._cache)
        self._coarser, self._overview, self._fetcher = coarser, overview, fetcher

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Read the whole level, and wait for it."""
        if copy is False:
            raise ValueError("a level is read from its file: it cannot be had without a copy")
        whole = self.read_box(0, 0, self.shape[1], self.shape[0])
        return whole.astype(dtype or self.dtype, copy=False)

    def shown_box(self, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Return what is there of a box inside the level; the rest is taken from coarser ones."""
        chunks = self.cached_chunks(x, y, width, height)
        whole = all(chunk is not None for chunk in chunks.values())
        out = np.empty((height, width, 3), np.uint8) if whole else self._coarse(x, y, width, height)
        for place, chunk in chunks.items():
            if chunk is None:
                self._fetcher.want((self._index, *place), self._chunk)
            else:
                paste(out, x, y, place, chunk)
        return out

    def _coarse(self, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Return a box from the finest level that has all of it, each pixel the nearest one."""
        for level in self._coarser:
            step = self.downsample / level.downsample
            columns = _nearest(x, width, step, level.shape[1])
            rows = _nearest(y, height, step, level.shape[0])
            box = (columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0])
            if level is self._coarser[-1]:
                return _picked(self._overview, rows, columns)
            found = level.cached_box(*map(int, box))
            if found is not None:
                return _picked(found, rows - rows[0], columns - columns[0])
        raise AssertionError("the coarsest level is progressive itself")


class ChunkFetcher:
    """Reads chunks in threads, those that were asked for last first: they are in view.

    Parameters
    ----------
    fetched
        Called in a thread after each.
    """

    def __init__(self, fetched: Fetched) -> None:
        self._fetched = fetched
        self._wanted: OrderedDict[_Key, Callable[[int, int], object]] = OrderedDict()
        self._busy: set[_Key] = set()
        self._failed: dict[_Key, float] = {}
        self._lock = threading.Lock()

    def want(self, key: _Key, read: Callable[[int, int], object]) -> None:
        """Read a chunk soon: its level, left and top; one that just failed is left for a while."""
        with self._lock:
            if key in self._busy or time.monotonic() - self._failed.get(key, -1e9) < RETRY_SECONDS:
                return
            new = key not in self._wanted
            self._wanted[key] = read
            self._wanted.move_to_end(key)
            while len(self._wanted) > _MOST_WANTED:
                self._wanted.popitem(last=False)  # which is asked for again if it is still in view
        if new:
            _threads().submit(self._read_next)

    def _read_next(self) -> None:
        with self._lock:
            if not self._wanted:
                return
            key, read = self._wanted.popitem()
            self._busy.add(key)
        problem: Exception | None = None
        try:
            read(*key[1:])
        except Exception as error:  # said by who shows the slide
            problem = error
        with self._lock:
            self._busy.discard(key)
            self._failed.pop(key, None)
            if problem is not None:
                self._failed[key] = time.monotonic()
        self._fetched(problem)


def _nearest(start: int, count: int, step: float, length: int) -> NDArray[np.intp]:
    """Return the places of a coarser level that pixels lie on."""
    places = ((start + np.arange(count) + 0.5) * step).astype(np.intp)
    return np.minimum(places, length - 1)


def _picked(
    pixels: NDArray[np.uint8], rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> NDArray[np.uint8]:
    picked: NDArray[np.uint8] = pixels[rows][:, columns]
    return picked


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="smse-fetch")
