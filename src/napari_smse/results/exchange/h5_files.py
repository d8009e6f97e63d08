"""HDF5 files of tiles, as multiple-instance learning reads them: coordinates and features."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_smse.atomic_write import atomic_path, output_error
from napari_smse.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import h5py

Attributes = Mapping[str, Any]


def require_h5py() -> None:
    """Raise `OutputError` if HDF5 files cannot be written or read here."""
    try:
        import h5py  # noqa: F401
    except ImportError as error:
        raise OutputError(
            'HDF5 files need the package h5py: run pip install "napari-smse[exchange]".'
        ) from error


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield what `atomic_path` does, after making the folder; raises as it does."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(path, error) from error
    with atomic_path(path) as part:
        yield part


@contextmanager
def new_h5(path: Path) -> Iterator[h5py.File]:
    """Yield an HDF5 file that is written whole or not at all; its folder is made.

    Raises
    ------
    OutputError
        It cannot be written, or h5py is not installed.
    """
    require_h5py()
    import h5py

    with new_file(path) as part, _Unfailing(part) as stream:
        try:
            with h5py.File(stream, "w") as file:
                yield file
        except Exception as error:
            # Of a file whose end is not there HDF5 may say anything.
            raise (stream.error or error) from error


class _Unfailing:
    """A file that HDF5 can write to the end: that a write failed is told when it is closed.

    HDF5 tries what failed again while its objects are removed, where it ends in tracebacks that
    nothing can catch, or in a crash. So what follows is written into memory, and lost.
    """

    def __init__(self, path: Path) -> None:
        self._stream: io.FileIO | io.BytesIO = io.FileIO(path, "w+")
        self.error: OSError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close the file; the first failed write is raised, unless something else is."""
        try:
            self._stream.close()
        except OSError as error:
            self.error = self.error or error
        if kind is None and self.error is not None:
            raise self.error

    def write(self, content: bytes) -> int:
        """Write at the present place."""
        place, rest = self._stream.tell(), memoryview(content)
        try:
            while rest:
                rest = rest[self._stream.write(rest) :]
        except OSError as error:
            self._go_on_in_memory(error, place)
            self._stream.write(content)
        return len(content)

    def truncate(self, size: int) -> int:
        """Make the file so long."""
        try:
            return self._stream.truncate(size)
        except OSError as error:
            self._go_on_in_memory(error, self._stream.tell())
            return size

    def read(self, size: int) -> bytes:
        """Read from the present place; behind the end are zeros."""
        return (self._stream.read(size) or b"").ljust(size, b"\0")

    def readinto(self, buffer: memoryview) -> int:
        """Do what `read` does, into memory that is there."""
        buffer[:] = self.read(len(buffer))
        return len(buffer)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """Return the present place."""
        return self._stream.tell()

    def flush(self) -> None:
        """Do nothing, as nothing is held back."""

    def _go_on_in_memory(self, error: OSError, place: int) -> None:
        self.error = error
        self._stream.seek(0)
        kept = io.BytesIO(self._stream.read())
        kept.seek(place)
        self._stream.close()
        self._stream = kept


def add_rows(file: h5py.File, name: str, rows: NDArray[np.generic], attributes: Attributes) -> None:
    """Add a dataset of a row a tile, ``(n, k)``, that other programs may make longer."""
    dataset = file.create_dataset(
        name, data=rows, maxshape=(None, rows.shape[1]), chunks=(1, rows.shape[1])
    )
    dataset.attrs.update(attributes)
