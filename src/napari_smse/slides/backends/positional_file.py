"""A file read at positions from many threads."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from napari_smse.errors import SlideError


class PositionalFile:
    """Reads bytes at an offset; threads do not disturb each other.

    Parameters
    ----------
    path : Path
        An existing file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        self._file = path.open("rb", buffering=0)
        self._lock = threading.Lock()

    def read(self, offset: int, count: int) -> bytes:
        """Return ``count`` bytes from ``offset``, fewer at the end of the file."""
        if self._file.closed:
            raise SlideError(f"{self.path.name} was closed; open it again to read it")
        if hasattr(os, "pread"):
            return os.pread(self._file.fileno(), count, offset)
        with self._lock:  # Windows has no pread
            self._file.seek(offset)
            return self._file.read(count) or b""

    def close(self) -> None:
        """Close the file."""
        self._file.close()
