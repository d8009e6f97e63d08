"""Scores of tiles in HDF5: ``coords``, and datasets of a number a tile or one a class."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import DataError
from napari_smse.results.exchange.h5_files import require_h5py
from napari_smse.results.exchange.tile_features import stated_edge

H5_SUFFIXES: Final = (".h5", ".hdf5")
_FEATURES: Final = "features"
_MOST_CLASSES: Final = 32
"""Columns of a dataset of scores; one of more is of features, whatever it is called."""


class H5Content(NamedTuple):
    """Whether a file of tiles holds features, and whether it holds scores."""

    features: bool
    scores: bool


def h5_content(path: Path) -> H5Content:
    """Return what an HDF5 file holds; neither of another file, or of one that cannot be read.

    Raises
    ------
    OutputError
        It is HDF5 by its name, and h5py is not installed.
    """
    if path.suffix.lower() not in H5_SUFFIXES:
        return H5Content(features=False, scores=False)
    require_h5py()
    import h5py

    try:
        with h5py.File(path) as file:
            tiles = len(file["coords"])
            has_features = isinstance(file.get(_FEATURES), h5py.Dataset)
            return H5Content(has_features, any(True for _ in _columns(file, tiles)))
    except (OSError, LookupError, TypeError, ValueError, RuntimeError, AttributeError):
        return H5Content(features=False, scores=False)


def read_h5_values(path: Path) -> tuple[NDArray[np.float64], int, dict[str, NDArray[np.float32]]]:
    """Read the scores of tiles from an HDF5 file.

    Returns
    -------
    corners
        ``(n, 2)``: (x, y), level-0 px.
    edge
        Of a tile, level-0 px; 0 if the file does not say so.
    values
        By the name of the column ``(n,)``.

    Raises
    ------
    DataError
        It has no places, scores of another number of tiles, or features alone.
    OutputError
        h5py is not installed.
    OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError
        It is damaged; h5py raises these.
    """
    require_h5py()
    import h5py

    with h5py.File(path) as file:
        coords = file.get("coords")
        if not isinstance(coords, h5py.Dataset) or coords.ndim != 2 or coords.shape[1] != 2:
            raise DataError(f"{path} has no dataset coords of a row a tile: give one with such.")
        corners = np.asarray(coords[:], dtype=np.float64)
        values = dict(_columns(file, len(corners)))
        if len(corners) and not values:
            _tell_what_it_has(path, file, len(corners))
        return corners, stated_edge(coords, path), values


def _tell_what_it_has(path: Path, file: Any, tiles: int) -> None:
    """Refuse scores of another number of tiles, and features."""
    for name, shape in _shapes(file):
        if np.prod(shape) == max(shape):
            raise DataError(
                f"{path} has {max(shape)} numbers in {name} for {tiles} tiles in coords: write "
                "both again, a number a tile."
            )
    if any(len(shape) > 1 and shape[-2] == tiles for _, shape in _shapes(file)):
        raise DataError(
            f"{path} holds features of tiles, and no scores: as a dataset called features they are "
            "opened in the viewer, or by napari_smse.open_features."
        )


def _shapes(file: Any) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and shape of the datasets of numbers but for the places."""
    for name in file:
        dataset = file.get(name)
        shape = getattr(dataset, "shape", None)
        if name != "coords" and shape and dataset.dtype.kind in "fiu":
            yield name, shape


def _columns(file: Any, tiles: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield the datasets that hold a number a tile, or one a class, as attention scores do."""
    for name, shape in _shapes(file):
        if np.prod(shape) == tiles and max(shape) == tiles:
            yield name, np.asarray(file[name][:], dtype=np.float32).ravel()
        elif name != _FEATURES and _are_classes(shape, tiles):
            for number, column in enumerate(np.asarray(file[name][:], dtype=np.float32).T):
                yield f"{name} {number}", column


def _are_classes(shape: tuple[int, ...], tiles: int) -> bool:
    return len(shape) == 2 and shape[0] == tiles and shape[1] <= _MOST_CLASSES
