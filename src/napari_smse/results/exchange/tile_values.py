"""Numbers of tiles that any program wrote, to be looked at as maps of a slide.

A table (CSV, Parquet) has a row a tile with its corner, an HDF5 file ``coords`` and a dataset a
number, GeoJSON a rectangle a tile with measurements. Places are level-0 px, those of GeoJSON from
OpenSlide's bounds, as QuPath counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from napari_smse.errors import DataError
from napari_smse.results.exchange.fitted_grid import fitted_grid, usual_step
from napari_smse.results.exchange.h5_files import require_h5py
from napari_smse.results.exchange.tile_features import stated_edge
from napari_smse.scoring import HeatMap, HeatMapBuilder
from napari_smse.slides import Slide
from napari_smse.tiles import PlacedTiles

SUFFIXES: Final = (".csv", ".parquet", ".h5", ".hdf5", ".geojson", ".json")
_CORNERS: Final = (("x", "y"), ("minx", "miny"), ("x_min", "y_min"), ("left", "top"))
_SIZES: Final = (("width", "height"), ("w", "h"), ("tile_size",) * 2, ("patch_size",) * 2)
_NO_VALUES: Final = frozenset({"mpp", "tile_id", "index", ""})
_MOST_SIZES: Final = 8
"""Sizes of tiles in a file, one a scale; of more it holds cells or regions, and no tiles."""
_ROUNDING: Final = 1
_ALIKE: Final = 0.01
"""What sizes of tiles of one scale differ by at most: px, or a fraction."""

Values = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class TileValues:
    """Tiles of one size, and what was written of each.

    Attributes
    ----------
    path
        The file.
    placed
        Where the tiles lie.
    values
        By the name of the column ``(n,)``; NaN where there is no number.
    """

    path: Path
    placed: PlacedTiles
    values: Values

    def __len__(self) -> int:
        """Number of tiles."""
        return len(self.placed)

    @property
    def tile_size(self) -> int:
        """Edge of a tile, level-0 px."""
        return self.placed.grid.edge

    def heat_map(self, name: str) -> HeatMap:
        """Return the map of a column."""
        builder = HeatMapBuilder(self.placed.grid)
        builder.add(self.placed.columns, self.placed.rows, self.values[name])
        return builder.heat_map()


@dataclass(frozen=True)
class _Rows:
    """What a file holds: corners ``(n, 2)`` and sizes ``(n,)``, level-0 px, and the numbers."""

    corners: NDArray[np.float64]
    sizes: NDArray[np.float64]
    values: Values


def read_tile_values(path: Path, slide: Slide, tile_size: int | None = None) -> list[TileValues]:
    """Read numbers of a slide's tiles, those of each size for themselves, small to large.

    Parameters
    ----------
    path
        CSV or Parquet with columns ``x`` and ``y`` (or ``minx``, ``miny``; ``left``, ``top``) and,
        unless tiles touch, ``width`` or ``tile_size``; HDF5 with ``coords``; GeoJSON of tiles.
    slide
        The slide that they are of.
    tile_size
        Edge of a tile, level-0 px, where the file does not say so; by default the commonest
        distance of neighbours.

    Raises
    ------
    DataError
        It cannot be read, has no places or no numbers, or lies on no tile of this slide.
    OutputError
        It is HDF5, and h5py is not installed.
    SlideError
        The slide states no um/px.
    """
    rows = _read(path, slide)
    if not len(rows.corners):
        raise DataError(f"{path} holds no tile: give the scores of a slide's tiles.")
    if not rows.values:
        raise DataError(f"{path} holds no number a tile, but places alone: add a column of scores.")
    _require_on(slide, path, rows.corners)
    sizes = np.where(rows.sizes > 0, rows.sizes, tile_size or usual_step(rows.corners))
    kinds = _kinds(sizes)
    if len(kinds) > _MOST_SIZES or min(kinds) < 1:
        raise DataError(
            f"{path} holds pieces of {len(kinds)} sizes, which are no tiles: load regions in "
            "SMSE: Annotate."
        )
    nearest = np.abs(sizes[:, None] - kinds).argmin(axis=1)
    return [_of_size(path, slide, rows, nearest == n, edge) for n, edge in enumerate(kinds)]


def _kinds(sizes: NDArray[np.float64]) -> list[int]:
    """Return the sizes of tiles, small to large; edges on whole px make one size of two."""
    kinds: list[dict[int, int]] = []
    numbers = np.unique(np.rint(sizes).astype(np.int64), return_counts=True)
    for size, count in zip(*(one.tolist() for one in numbers), strict=True):
        if not kinds or size - min(kinds[-1]) > max(_ROUNDING, _ALIKE * size):
            kinds.append({})
        kinds[-1][size] = count
    return [max(kind, key=kind.__getitem__) for kind in kinds]  # which is nearest to the exact one


def _of_size(
    path: Path, slide: Slide, rows: _Rows, chosen: NDArray[np.bool_], edge: int
) -> TileValues:
    corners = np.rint(rows.corners[chosen]).astype(np.int32)
    grid = fitted_grid(slide, corners, edge, edge, usual_step(corners) or edge)
    values = {name: column[chosen] for name, column in rows.values.items()}
    known = {name: column for name, column in values.items() if np.isfinite(column).any()}
    return TileValues(path, PlacedTiles.near(grid, corners), known)


def _require_on(slide: Slide, path: Path, corners: NDArray[np.float64]) -> None:
    inside = (corners >= -1) & (corners < (slide.width, slide.height))
    if not inside.all():  # NaN is nowhere
        raise DataError(
            f"{path} has {(~inside.all(axis=1)).sum()} of {len(corners)} tiles that do not lie "
            f"on {slide.name} ({slide.width} x {slide.height} px): it is of another slide, or its "
            "places are not level-0 px."
        )


def _read(path: Path, slide: Slide) -> _Rows:
    suffix = path.suffix.lower()
    if not path.is_file():
        raise DataError(f"There is no file {path}: give one with scores of a slide's tiles.")
    try:
        if suffix in (".h5", ".hdf5"):
            return _read_h5(path)
        if suffix in (".geojson", ".json"):
            return _read_geojson(path, (slide.bounds.x, slide.bounds.y))
        return _read_table(path)
    except DataError:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        raise DataError(f"{path} cannot be read ({_first_line(error)}): write it again.") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _read_table(path: Path) -> _Rows:
    with path.open("rb") as stream:
        is_parquet = path.suffix.lower() == ".parquet"
        table = pa.parquet.read_table(stream) if is_parquet else pa.csv.read_csv(stream)
    columns = {name.strip(): _numbers(table[name]) for name in table.column_names}
    numbers = {name: column for name, column in columns.items() if column is not None}
    lower = {name.lower(): column for name, column in numbers.items()}
    place = _first_pair(_CORNERS, lower)
    if place is None:
        raise DataError(
            f"{path} has no columns x and y of tiles, but {', '.join(columns) or 'none'}: "
            "add them, in level-0 px."
        )
    size = _first_pair(_SIZES, lower)
    corners = np.column_stack([lower[name] for name in place])
    sizes = np.full(len(corners), 0.0) if size is None else lower[size[0]]
    used = {*place, *(size or ()), *_NO_VALUES}
    values = {
        name: column.astype(np.float32)
        for name, column in numbers.items()
        if name.lower() not in used
    }
    return _Rows(corners, sizes, values)


def _first_pair(
    pairs: Sequence[tuple[str, str]], columns: Mapping[str, object]
) -> tuple[str, str] | None:
    return next((pair for pair in pairs if set(pair) <= columns.keys()), None)


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64] | None:
    """Return a column as numbers, NaN where there is none; None if it holds something else."""
    kind = column.type
    # Of a column without any value a CSV file says no type.
    is_any = (pa.types.is_integer, pa.types.is_floating, pa.types.is_null)
    if not any(is_kind(kind) for is_kind in is_any):
        return None
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)


def _read_h5(path: Path) -> _Rows:
    require_h5py()
    import h5py

    with h5py.File(path) as file:
        coords = file.get("coords")
        if not isinstance(coords, h5py.Dataset) or coords.ndim != 2 or coords.shape[1] != 2:
            raise DataError(f"{path} has no dataset coords of a row a tile: give one with such.")
        corners = np.asarray(coords[:], dtype=np.float64)
        values = dict(_columns(file, len(corners)))
        edge = stated_edge(coords, path)
    return _Rows(corners, np.full(len(corners), float(edge)), values)


def _columns(file: Any, tiles: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield the datasets that hold a number a tile, as attention scores do."""
    for name in file:
        dataset = file.get(name)
        shape = getattr(dataset, "shape", None)
        if name == "coords" or not shape or dataset.dtype.kind not in "fiu":
            continue
        if dataset.size == tiles and max(shape) == tiles:
            yield name, np.asarray(dataset[:], dtype=np.float32).ravel()


def _read_geojson(path: Path, origin: tuple[int, int]) -> _Rows:
    content = json.loads(path.read_bytes())
    features = content.get("features") if isinstance(content, dict) else content
    if not isinstance(features, list):
        raise DataError(f"{path} holds no features: give GeoJSON of tiles.")
    boxes, measured = [], []
    for feature in features:
        numbers = _measurements(feature)
        geometry = feature.get("geometry") or {}
        if numbers and geometry.get("type") == "Polygon":
            ring = np.asarray(geometry["coordinates"][0], dtype=np.float64)[:, :2]
            boxes.append((*ring.min(axis=0), *ring.max(axis=0)))
            measured.append(numbers)
    found = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    names = dict.fromkeys(name for one in measured for name in one)
    values = {
        name: np.array([one.get(name, np.nan) for one in measured], dtype=np.float32)
        for name in names
    }
    return _Rows(found[:, :2] + origin, found[:, 2] - found[:, 0], values)


def _measurements(feature: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a feature; old files list them as name and value."""
    stated = (feature.get("properties") or {}).get("measurements") or {}
    if isinstance(stated, list):
        stated = {one["name"]: one["value"] for one in stated}
    return {
        str(name): float(value)
        for name, value in stated.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
