"""Features of tiles that another program wrote, such as TRIDENT or CLAM: read, and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import DataError
from napari_smse.results.exchange.fitted_grid import fitted_grid, usual_step
from napari_smse.results.exchange.h5_files import require_h5py
from napari_smse.scoring.tile_table import TileTable, unit_length
from napari_smse.slides import Slide
from napari_smse.tiles import PlacedTiles, TileGrid

_LOST: Final = "is no whole HDF5 file: copy it again, or extract the features again"
_ATTRIBUTES: Final = (
    "patch_size_level0",
    "patch_size",
    "target_magnification",
    "level0_magnification",
    "downsample",
    "overlap",
    "level0_width",
    "level0_height",
)
_MOST: Final = 1e9
"""Nothing that is said of a tile or a slide is more, in whatever unit."""


@dataclass(frozen=True)
class TileFeatures:
    """Tiles of a slide with features by any encoder, as a file holds them.

    Attributes
    ----------
    path
        The file.
    features
        ``(n, d)`` float32, as in the file.
    placed
        Where the tiles lie.
    encoder
        What made them, by the folder as TRIDENT names it; else the file's name.
    """

    path: Path
    features: NDArray[np.float32]
    placed: PlacedTiles
    encoder: str

    def __len__(self) -> int:
        """Number of tiles."""
        return len(self.features)

    @property
    def coords(self) -> NDArray[np.int32]:
        """Top-left corners ``(n, 2)``: (x, y), level-0 px."""
        return self.placed.corners

    @property
    def tile_size(self) -> int:
        """Edge of a tile, level-0 px."""
        return self.placed.grid.edge

    @property
    def mpp(self) -> float:
        """Scale that the encoder saw tiles at, um/px."""
        return self.placed.grid.spec.mpp

    @cached_property
    def tiles(self) -> TileTable:
        """The tiles as those of a scored slide, with embeddings of length 1 and without classes."""
        none = np.empty((len(self), 0), dtype=np.float32)
        return TileTable((self.placed,), unit_length(self.features), none, ())


def read_tile_features(path: Path, slide: Slide, tile_size: int | None = None) -> TileFeatures:
    """Read the features of a slide's tiles from an HDF5 file with ``coords`` and ``features``.

    Parameters
    ----------
    path
        As TRIDENT or CLAM wrote it, or any other with such datasets.
    slide
        The slide that it is of.
    tile_size
        Edge of a tile, level-0 px, where neither the file nor, as CLAM has it, one of the same name
        in ``patches`` beside its folder says so.

    Raises
    ------
    DataError
        It cannot be read, holds something else, is of another slide, or nothing says how large a
        tile is.
    OutputError
        h5py is not installed.
    SlideError
        The slide states no um/px.
    """
    features, coords, about = _read(path)
    if features.ndim != 2 or coords.ndim != 2 or coords.shape[1] != 2:
        raise DataError(
            f"{path} has features of shape {features.shape} and coordinates of {coords.shape}, not "
            "a row a tile: give the features of a slide's tiles."
        )
    if len(features) != len(coords):
        raise DataError(
            f"{path} has {len(features)} features for {len(coords)} coordinates: extract the "
            "features again."
        )
    if features.dtype.kind not in "fiu" or not np.isfinite(features).all():
        raise DataError(f"{path} has features that are no numbers: extract them again.")
    edge = tile_size or _stated_edge(about, path, coords)
    if edge < 1:
        raise DataError(
            f"{path} does not say how large a tile is: give the edge of one in level-0 px, as "
            "tile_size."
        )
    corners = _corners(path, coords, about, slide)
    grid = _grid(slide, corners, about, edge)
    # TRIDENT's folder of features by UNI is features_uni.
    folder, encoder = path.parent.name, path.parent.name.removeprefix("features_")
    placed = PlacedTiles.near(grid, corners)
    named = path.stem if encoder == folder else encoder
    return TileFeatures(path, features.astype(np.float32), placed, named)


def _read(path: Path) -> tuple[NDArray[Any], NDArray[Any], dict[str, Any]]:
    """Return features, coordinates and what is said of these in numbers."""
    require_h5py()
    import h5py

    if not path.is_file():
        raise DataError(f"There is no file {path}: give one with the features of a slide's tiles.")
    try:
        with h5py.File(path) as file:
            named = [file.get(name) for name in ("features", "coords")]
            if not all(isinstance(one, h5py.Dataset) for one in named):
                raise DataError(
                    f"{path} has no datasets named coords and features, but {_names(file)}: give "
                    "features of tiles, as TRIDENT or CLAM writes them."
                )
            features, coords = (np.asarray(one[:]) for one in named)
            about = _numbers(named[1])
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        raise DataError(f"{path} {_LOST}.") from error
    # One slide at a time is what some write with a leading 1.
    return (features[0] if features.ndim == 3 and len(features) == 1 else features), coords, about


def _numbers(dataset: Any) -> dict[str, Any]:
    """Return attributes in numbers; in a damaged file HDF5 may look for a text for ever."""
    attributes = dataset.attrs
    return {
        name: attributes[name]
        for name in _ATTRIBUTES
        if name in attributes and attributes.get_id(name).dtype.kind in "iuf"
    }


def _names(file: Mapping[str, object]) -> str:
    return ", ".join(file) or "none"


def _patches(path: Path) -> dict[str, Any]:
    """Return what CLAM says of the patches of a slide, in a folder beside that of its features."""
    import h5py

    beside = path.parent.parent / "patches" / path.name
    try:
        with h5py.File(beside) as file:
            return _numbers(file["coords"])
    except (OSError, KeyError, RuntimeError, ValueError, AttributeError):
        return {}


def _edge(about: Mapping[str, Any]) -> int:
    """Return a tile's edge in level-0 px, by the attributes of its coordinates; 0 if not known."""
    if "patch_size_level0" in about:
        return round(_number(about, "patch_size_level0"))
    size, to = _number(about, "patch_size"), _number(about, "target_magnification")
    scale = _number(about, "level0_magnification") / to if to > 0 else _number(about, "downsample")
    return round(size * scale)


def _number(about: Mapping[str, Any], name: str, default: float = 0.0) -> float:
    """Return an attribute, or the first of several values, as a number; `default` if it is none."""
    try:
        value = float(np.ravel(about[name])[0])
    except (KeyError, TypeError, ValueError, IndexError):
        return default
    return value if abs(value) < _MOST else default


def _corners(
    path: Path, coords: NDArray[Any], about: Mapping[str, Any], slide: Slide
) -> NDArray[np.int32]:
    size = np.array([slide.width, slide.height])
    stated = [_number(about, "level0_width", size[0]), _number(about, "level0_height", size[1])]
    whole = coords.dtype.kind in "iu" and np.array_equal(stated, size)
    if not whole or not ((coords >= 0) & (coords < size)).all():
        raise DataError(
            f"{path} has tiles that do not lie on {slide.name} ({slide.width} x {slide.height} "
            "px): it is of another slide, or its coordinates are not level-0 px."
        )
    return np.asarray(coords, dtype=np.int32)


def stated_edge(dataset: Any, path: Path) -> int:
    """Return a tile's edge in level-0 px, as a dataset of coordinates or CLAM's folder has it.

    0 if neither says so.
    """
    return _stated_edge(_numbers(dataset), path, np.asarray(dataset[:]))


def _stated_edge(about: Mapping[str, Any], path: Path, coords: NDArray[Any]) -> int:
    return _edge(about) or _edge(_patches(path)) or _touching_edge(about, coords)


def _touching_edge(about: Mapping[str, Any], coords: NDArray[Any]) -> int:
    """Return a size that is stated without its scale, if tiles of so many level-0 px touch."""
    size = round(_number(about, "patch_size"))
    has_scale = about.keys() & {"downsample", "target_magnification", "level0_magnification"}
    return size if not has_scale and size == usual_step(coords) else 0


def _grid(
    slide: Slide, corners: NDArray[np.int32], about: Mapping[str, Any], edge: int
) -> TileGrid:
    stated = round(_number(about, "patch_size")) if "patch_size_level0" in about else edge
    px = stated if stated > 0 else edge
    overlap = max(_number(about, "overlap"), 0.0) / px
    return fitted_grid(slide, corners, edge, px, edge * (1 - overlap))
