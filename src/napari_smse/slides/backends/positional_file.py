"""A file read at positions from many threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from napari_smse.errors import SlideError
from napari_smse.slides.remote_path import RemotePath


class PositionedBytes(Protocol):
    """A file that threads read at positions, wherever it lies."""

    name: str
    size: int
    is_remote: bool

    def read(self, offset: int, count: int) -> bytes:
        """Return ``count`` bytes from ``offset``, fewer at the end of the file."""
        ...

    def prefetch(self, parts: Iterable[tuple[int, int]], /) -> None:
        """Make ready what will be read soon: first byte of each part, and the one behind it."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


def positioned_bytes(path: Path) -> PositionedBytes:
    """Open a file, on this machine or at an address, to be read at positions."""
    return path.open_file() if isinstance(path, RemotePath) else PositionalFile(path)


class PositionalFile:
    """Reads bytes at an offset; threads do not disturb each other.

    Parameters
    ----------
    path : Path
        An existing file.
    """

    is_remote = False

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.size = path.stat().st_size
        self._file = path.open("rb", buffering=0)
        self._lock = threading.Lock()

    def read(self, offset: int, count: int) -> bytes:
        """Return ``count`` bytes from ``offset``, fewer at the end of the file."""
        if self._file.closed:
            raise SlideError(f"{self.name} was closed; open it again to read it")
        if hasattr(os, "pread"):
            return os.pread(self._file.fileno(), count, offset)
        with self._lock:  # Windows has no pread
            self._file.seek(offset)
            return self._file.read(count) or b""

    def prefetch(self, parts: Iterable[tuple[int, int]]) -> None:
        """Do nothing: the system reads ahead."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()
