"""Annotations and tiles as GeoJSON, the way QuPath reads and writes them.

QuPath crops a slide to OpenSlide's bounds and counts its pixels from there, while
everything in this package counts from the corner of level 0. `bounds_origin`, the
corner of the bounds in level-0 px, leads from one to the other.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from shapely import MultiPolygon, Polygon
from shapely.geometry import shape

from napari_smse.errors import RegionError
from napari_smse.exchange.colours import Colour, class_colours
from napari_smse.exchange.tables import probability_column
from napari_smse.exchange.whole_file import written_whole

logger = logging.getLogger(__name__)

_ROWS_AT_ONCE = 1000
_POLYGONS = ("Polygon", "MultiPolygon")
_NOT_AREAS = ("Point", "MultiPoint", "LineString", "MultiLineString")
_EXPORT_AGAIN = "export the annotations again, in QuPath by File > Export objects as GeoJSON"


def write_qupath_tiles(
    path: Path,
    table: pa.Table,
    classes: Sequence[str],
    *,
    bounds_origin: tuple[int, int] = (0, 0),
) -> None:
    """Write scored tiles as QuPath tile objects, whole or not at all.

    Each tile is classified as its most probable class and carries all probabilities as
    measurements; a tile without probabilities stays unclassified.

    Parameters
    ----------
    path
        The file, usually ending in `.geojson`.
    table
        A table as `tile_table` makes it, in level-0 px.
    classes
        The classes whose probabilities the table holds.
    bounds_origin
        Corner of OpenSlide's bounds, level-0 px.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    colours = class_colours(classes)
    with written_whole(path) as part, part.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        separator = "\n"
        for row in _rows(table):
            file.write(separator + json.dumps(_tile_feature(row, colours, bounds_origin)))
            separator = ",\n"
        file.write("\n]}\n")


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
        yield from batch.to_pylist()


def _tile_feature(
    row: Mapping[str, Any], colours: Mapping[str, Colour], origin: tuple[int, int]
) -> dict[str, Any]:
    probabilities = {name: row[probability_column(name)] for name in colours}
    measurements = {"um/px": row["mpp"], "Tissue": row["tissue"]}
    measurements |= {f"P({name})": p for name, p in probabilities.items()}
    properties: dict[str, Any] = {
        "objectType": "tile",
        "measurements": {k: round(v, 6) for k, v in measurements.items() if _is_number(v)},
    }
    known = {name: p for name, p in probabilities.items() if _is_number(p)}
    if known:
        best = max(known, key=known.__getitem__)
        properties["classification"] = {"name": best, "color": colours[best]}
    return {"type": "Feature", "geometry": _rectangle(row, origin), "properties": properties}


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _rectangle(row: Mapping[str, Any], origin: tuple[int, int]) -> dict[str, Any]:
    left, top = row["x"] - origin[0], row["y"] - origin[1]
    right, bottom = left + row["width"], top + row["height"]
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    return {"type": "Polygon", "coordinates": [ring]}


def read_regions(path: Path, *, bounds_origin: tuple[int, int] = (0, 0)) -> MultiPolygon:
    """Read the areas in a GeoJSON file.

    A FeatureCollection, a Feature, a GeometryCollection, a bare geometry or a list of
    any of these will do. Areas that overlap become one. Points and lines are left out
    and outlines that cross themselves are mended; the log tells of both.

    Parameters
    ----------
    path
        The file.
    bounds_origin
        Corner of OpenSlide's bounds, level-0 px, if the file counts from there as
        QuPath does.

    Returns
    -------
    shapely.MultiPolygon
        Valid and not empty, in level-0 px.

    Raises
    ------
    RegionError
        If the file cannot be read, is not GeoJSON, or holds no area.
    """
    polygons = [
        polygon
        for node in _geometries(_load(path), path)
        for polygon in _mended(_parsed(node, path), path)
    ]
    if not polygons:
        raise RegionError(
            f"{path} holds no area; draw at least one closed outline and {_EXPORT_AGAIN}"
        )
    merged = shapely.union_all(polygons)
    moved = shapely.transform(merged, lambda points: points + bounds_origin)
    return moved if isinstance(moved, MultiPolygon) else MultiPolygon([moved])


def _load(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        reason = error.strerror or "unknown error"
        raise RegionError(f"cannot read regions from {path}: {reason}; check the path") from error
    except UnicodeDecodeError as error:
        raise RegionError(f"{path} is not a text file; {_EXPORT_AGAIN}") from error
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RegionError(f"{path} is not JSON ({error}); {_EXPORT_AGAIN}") from error


def _geometries(node: Any, path: Path) -> Iterator[dict[str, Any]]:
    """Walk down to the geometries that can have an area."""
    if isinstance(node, list):
        for item in node:
            yield from _geometries(item, path)
        return
    kind = node.get("type") if isinstance(node, dict) else None
    if kind in _POLYGONS:
        yield node
    elif kind == "FeatureCollection":
        yield from _geometries(_part(node, "features", path), path)
    elif kind == "GeometryCollection":
        yield from _geometries(_part(node, "geometries", path), path)
    elif kind == "Feature":
        if node.get("geometry") is not None:  # GeoJSON allows a feature without a place
            yield from _geometries(node["geometry"], path)
    elif kind in _NOT_AREAS:
        logger.info("%s: left out a %s, which has no area", path, kind)
    else:
        raise RegionError(f"{path} is not GeoJSON (type {kind!r}); {_EXPORT_AGAIN}")


def _part(node: dict[str, Any], key: str, path: Path) -> list[Any]:
    part = node.get(key)
    if not isinstance(part, list):
        raise RegionError(f"{path} is not GeoJSON ({node['type']} without {key}); {_EXPORT_AGAIN}")
    return part


def _parsed(node: dict[str, Any], path: Path) -> Polygon | MultiPolygon:
    try:
        with np.errstate(invalid="ignore"):  # NaN is dealt with below
            geometry = shapely.force_2d(shape(node))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise _bad_outline(path) from error
    except shapely.errors.ShapelyError as error:
        raise _bad_outline(path) from error
    if not all(map(math.isfinite, shapely.get_coordinates(geometry).ravel())):
        raise _bad_outline(path)
    return geometry


def _bad_outline(path: Path) -> RegionError:
    return RegionError(
        f"{path} holds an outline whose coordinates are not at least 3 points of 2 numbers; "
        f"{_EXPORT_AGAIN}"
    )


def _mended(geometry: Polygon | MultiPolygon, path: Path) -> list[Polygon]:
    if not geometry.is_valid:
        reason = shapely.is_valid_reason(geometry)
        logger.warning("%s: mended an outline (%s)", path, reason)
        geometry = shapely.make_valid(geometry)
    parts = shapely.get_parts(shapely.get_parts(geometry))
    return [part for part in parts if isinstance(part, Polygon) and part.area > 0]
