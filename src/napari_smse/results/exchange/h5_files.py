"""HDF5 files of tiles, as multiple-instance learning reads them: coordinates and features."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

    with new_file(path) as part, h5py.File(part, "w") as file:
        yield file


def add_rows(file: h5py.File, name: str, rows: NDArray[np.generic], attributes: Attributes) -> None:
    """Add a dataset of a row a tile, ``(n, k)``, that other programs may make longer."""
    dataset = file.create_dataset(
        name, data=rows, maxshape=(None, rows.shape[1]), chunks=(1, rows.shape[1])
    )
    dataset.attrs.update(attributes)
