"""Numbers of tiles that any program wrote, to be looked at as maps of a slide.

A table (CSV, Parquet) has a row a tile with its corner, an HDF5 file ``coords`` and datasets of a
number a tile or one a class, GeoJSON a rectangle a tile with measurements. Places are level-0 px,
those of GeoJSON from OpenSlide's bounds, as QuPath counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import DataError
from napari_smse.results.exchange.fitted_grid import fitted_grid, usual_step
from napari_smse.results.exchange.h5_values import H5_SUFFIXES, read_h5_values
from napari_smse.results.exchange.number_table import read_number_table
from napari_smse.scoring import HeatMap, HeatMapBuilder
from napari_smse.slides import Slide
from napari_smse.tiles import PlacedTiles

SUFFIXES: Final = (".csv", ".parquet", *H5_SUFFIXES, ".geojson", ".json")
_CORNERS: Final = (("x", "y"), ("minx", "miny"), ("x_min", "y_min"), ("left", "top"))
_SIZES: Final = (
    ("width", "height"),
    ("w", "h"),
    *((name,) * 2 for name in ("width", "w", "tile_size", "patch_size")),
)
_NO_VALUES: Final = frozenset({"mpp", "tile_id", "index", ""})
_MOST_SIZES: Final = 8
"""Sizes of tiles in a file, one a scale; of more it holds cells or regions, and no tiles."""
_ROUNDING: Final = 1
_ALIKE: Final = 0.01
"""What sizes of tiles of one scale differ by at most: px, or a fraction."""
_SAME, _SAME_AS_0 = 1e-3, 1e-6
"""Numbers of one tile, of which two networks' runs differ by rounding: a fraction, and of 0."""

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
    if not any(np.isfinite(column).any() for column in rows.values.values()):
        raise DataError(
            f"{path} has no number in {', '.join(rows.values)}, but empty, NaN or infinite ones "
            "alone: write the scores again."
        )
    _require_on(slide, path, rows.corners)
    sizes = _sizes(path, rows, tile_size)
    kinds = _kinds(sizes)
    if len(kinds) > _MOST_SIZES or min(kinds) < 1:
        raise DataError(
            f"{path} holds pieces of {len(kinds)} sizes, which are no tiles: load regions in "
            "SMSE: Annotate."
        )
    nearest = np.abs(sizes[:, None] - kinds).argmin(axis=1)
    return [_of_size(path, slide, rows, nearest == n, edge) for n, edge in enumerate(kinds)]


def _sizes(path: Path, rows: _Rows, tile_size: int | None) -> NDArray[np.float64]:
    """Return the size of each tile, where the file states none as given, or so that they touch."""
    otherwise = tile_size or usual_step(rows.corners)
    if not (otherwise or (rows.sizes > 0).all()):
        raise DataError(
            f"{path} does not say how large a tile is, which a single one does not tell: add "
            "columns width and height, in level-0 px, or give tile_size."
        )
    return np.where(rows.sizes > 0, rows.sizes, otherwise)


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
    _require_one_number_each(path, corners, values)
    known = {name: column for name, column in values.items() if np.isfinite(column).any()}
    return TileValues(path, PlacedTiles.near(grid, corners), known)


def _require_one_number_each(path: Path, corners: NDArray[np.int32], values: Values) -> None:
    """Refuse a tile that is there twice with different numbers; the same ones do no harm."""
    _, first, place = np.unique(corners, axis=0, return_index=True, return_inverse=True)
    first = first[place.ravel()]
    for name, column in values.items():
        one = column[first]
        known = np.isfinite(column) & np.isfinite(one)
        off = np.flatnonzero(known & ~np.isclose(column, one, _SAME, _SAME_AS_0))
        if len(off):
            x, y = corners[off[0]].tolist()
            raise DataError(
                f"{path} has tiles more than once, the first at x {x}, y {y} with "
                f"{one[off[0]]:g} and {column[off[0]]:g} in {name}: keep one of each."
            )


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
        if suffix in H5_SUFFIXES:
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
    table = read_number_table(path, _NO_VALUES)
    lower = {name.lower(): column for name, column in table.numbers.items()}
    place = _first_pair(_CORNERS, lower)
    if place is None:
        raise DataError(
            f"{path} has no columns x and y of tiles, but {', '.join(table.names) or 'none'}: "
            "add them, in level-0 px."
        )
    size = _first_pair(_SIZES, lower)
    for name in size or ():
        table.require_sizes(name, lower[name])
    corners = np.column_stack([lower[name] for name in place])
    sizes = np.full(len(corners), 0.0) if size is None else lower[size[0]]
    used = {*place, *(size or ()), *_NO_VALUES}
    values = {name: one for name, one in table.numbers.items() if name.lower() not in used}
    return _Rows(corners, sizes, _finite(values))


def _finite(values: Mapping[str, NDArray[np.floating]]) -> Values:
    """Return numbers with NaN where one is infinite, as one is that float32 cannot hold."""
    with np.errstate(over="ignore"):
        found = {name: np.asarray(column, dtype=np.float32) for name, column in values.items()}
    return {
        name: np.where(np.isfinite(one), one, np.float32(np.nan)) for name, one in found.items()
    }


def _first_pair(
    pairs: Sequence[tuple[str, str]], columns: Mapping[str, object]
) -> tuple[str, str] | None:
    return next((pair for pair in pairs if set(pair) <= columns.keys()), None)


def _read_h5(path: Path) -> _Rows:
    corners, edge, values = read_h5_values(path)
    return _Rows(corners, np.full(len(corners), float(edge)), _finite(values))


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
    values = {name: np.array([one.get(name, np.nan) for one in measured]) for name in names}
    return _Rows(found[:, :2] + origin, found[:, 2] - found[:, 0], _finite(values))


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
