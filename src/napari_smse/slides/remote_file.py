"""A file at an address, read at positions from many threads."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import SlideError
from napari_smse.slides.byte_ranges import ByteRanges, FileState, Part
from napari_smse.slides.cache import ArrayCache

CACHE_BYTES: Final = 128 * 2**20
"""Of all files together: what was fetched is used again, until this much came after it."""

BLOCK: Final = 16 * 2**10
READ_AHEAD: Final = 4
"""Blocks that a single read fetches at least; where more is needed is known, only that is."""

LUMP_BYTES: Final = 32 * 2**20
"""Most that is fetched ahead at once."""

_LONGEST_REQUEST: Final = 2 * 2**20 // BLOCK

_cache: Final = ArrayCache(CACHE_BYTES)
_pending: Final[dict[tuple[str, str, int], Future[bytes]]] = {}
_lock: Final = threading.Lock()


class RemoteFile:
    """Reads bytes at an offset; threads do not disturb each other, and fetch no block twice.

    Parameters
    ----------
    name : str
        Name of the file, for messages.
    ranges : ByteRanges
        What gives parts of it.
    state : FileState
        What it was when it was opened.
    place : str
        Address, the same for the same file.
    """

    is_remote = True

    def __init__(self, name: str, ranges: ByteRanges, state: FileState, place: str) -> None:
        self.name = name
        self.size = state.size
        self._ranges = ranges
        self._state = state
        self._place = place
        self._closed = False

    def read(self, offset: int, count: int) -> bytes:
        """Return ``count`` bytes from ``offset``, fewer at the end of the file."""
        if self._closed:
            raise SlideError(f"{self.name} was closed; open it again to read it")
        stop = min(offset + count, self.size)
        if stop <= offset:
            return b""
        first, last = offset // BLOCK, (stop - 1) // BLOCK
        ahead = range(last + 1, min(first + READ_AHEAD, self._count))
        blocks = self._blocks(range(first, last + 1), ahead)
        joined = b"".join(blocks[number] for number in range(first, last + 1))
        return joined[offset - first * BLOCK : stop - first * BLOCK]

    def prefetch(self, parts: Iterable[Part]) -> None:
        """Fetch parts that will be read soon together, those that lie side by side as one.

        Parameters
        ----------
        parts
            First byte of each, and the one behind its last; not more than `LUMP_BYTES`.
        """
        numbers: set[int] = set()
        for start, stop in parts:
            numbers.update(range(start // BLOCK, -(-min(stop, self.size) // BLOCK)))
        self._blocks(sorted(numbers), ())

    def close(self) -> None:
        """Read no more; what was fetched stays in the cache for the next who opens it."""
        self._closed = True

    def _blocks(self, wanted: Iterable[int], ahead: Iterable[int]) -> dict[int, bytes]:
        """Return blocks by number; those ahead are fetched as well if any is fetched."""
        cached: dict[int, NDArray[np.uint8]] = {}
        others: dict[int, Future[bytes]] = {}
        mine: dict[int, Future[bytes]] = {}
        # Cache and requests are looked at as one: a block goes from these to that meanwhile.
        with _lock:
            for number in wanted:
                key = self._key(number)
                block = _cache.get(key)
                if block is not None:
                    cached[number] = block
                elif key in _pending:
                    others[number] = _pending[key]
                else:
                    mine[number] = _pending[key] = Future()
            if mine:
                mine |= self._begin(range(self._count) if self._state.whole else ahead)
        if mine:
            self._fetch(dict(sorted(mine.items())))
        fetched = {number: future.result() for number, future in (mine | others).items()}
        return fetched | {number: block.tobytes() for number, block in cached.items()}

    def _begin(self, numbers: Iterable[int]) -> dict[int, Future[bytes]]:
        """Return promises of the blocks that nobody has fetched or fetches."""
        begun: dict[int, Future[bytes]] = {}
        for number in numbers:
            key = self._key(number)
            if key not in _pending and _cache.get(key) is None:
                begun[number] = _pending[key] = Future()
        return begun

    def _fetch(self, futures: dict[int, Future[bytes]]) -> None:
        try:
            runs = _runs(list(futures))
            parts = [(run[0] * BLOCK, min((run[-1] + 1) * BLOCK, self.size)) for run in runs]
            for run, body in zip(runs, self._ranges.fetch(parts, self._state), strict=True):
                for place, number in enumerate(run):
                    block = body[place * BLOCK : (place + 1) * BLOCK]
                    _cache.put(self._key(number), np.frombuffer(block, dtype=np.uint8))
                    futures[number].set_result(block)
        except BaseException as error:
            for future in futures.values():
                if not future.done():
                    future.set_exception(error)
            raise
        finally:
            with _lock:
                for number in futures:
                    del _pending[self._key(number)]

    @property
    def _count(self) -> int:
        """Blocks of the file."""
        return -(-self.size // BLOCK)

    def _key(self, number: int) -> tuple[str, str, int]:
        return self._place, self._state.key, number


def _runs(numbers: Sequence[int]) -> list[list[int]]:
    """Divide rising numbers where one is left out, and where a request would be too long."""
    runs = [[numbers[0]]]
    for before, number in pairwise(numbers):
        if number != before + 1 or len(runs[-1]) >= _LONGEST_REQUEST:
            runs.append([])
        runs[-1].append(number)
    return runs


class RemoteStream(io.RawIOBase):
    """A remote file as a stream, for whoever parses a header.

    Parameters
    ----------
    file : RemoteFile
        Closed with it.
    name : str
        Address of the file.
    """

    def __init__(self, file: RemoteFile, name: str) -> None:
        self.name = name
        self._file = file
        self._offset = 0

    def readable(self) -> bool:
        """Return that it is."""
        return True

    def seekable(self) -> bool:
        """Return that it is."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._offset

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position, as streams do."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._offset, io.SEEK_END: self._file.size}[whence]
        self._offset = max(0, base + offset)
        return self._offset

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer, or what of it the file has."""
        data = self._file.read(self._offset, len(buffer))
        buffer[: len(data)] = data
        self._offset += len(data)
        return len(data)

    def close(self) -> None:
        """Close it."""
        if not self.closed:
            self._file.close()
        super().close()
