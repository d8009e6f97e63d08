"""The geometries in a GeoJSON file, each with the feature that it is of."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import shapely
from shapely import MultiPolygon, Polygon
from shapely.geometry import shape

from napari_smse.errors import RegionError

logger = logging.getLogger(__name__)

_POLYGONS: Final = ("Polygon", "MultiPolygon")
_NOT_AREAS: Final = ("Point", "MultiPoint", "LineString", "MultiLineString")
EXPORT_AGAIN: Final = "export the annotations again, in QuPath by File > Export objects as GeoJSON"

Geometry = tuple[dict[str, Any], dict[str, Any]]
"""A feature, empty for a bare geometry, and a geometry of it."""


def load_geojson(path: Path) -> Any:
    """Return what a JSON file holds.

    Raises
    ------
    RegionError
        If it cannot be read or is not JSON.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        reason = error.strerror or "unknown error"
        raise RegionError(f"cannot read regions from {path}: {reason}; check the path") from error
    except UnicodeDecodeError as error:
        raise RegionError(f"{path} is not a text file; {EXPORT_AGAIN}") from error
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RegionError(f"{path} is not JSON ({error}); {EXPORT_AGAIN}") from error


def geometries(node: Any, path: Path) -> Iterator[Geometry]:
    """Walk down to the geometries that can have an area; the log names others.

    Parameters
    ----------
    node
        Decoded GeoJSON.
    path
        The file that it is from, to be named in messages.

    Raises
    ------
    RegionError
        If it is not GeoJSON.
    """
    for feature, geometry in _all_geometries(node, path):
        if geometry["type"] in _POLYGONS:
            yield feature, geometry
        else:
            logger.info("%s: left out a %s, which has no area", path, geometry["type"])


def count_without_area(path: Path) -> int:
    """Return how many geometries in a file are points or lines.

    Raises
    ------
    RegionError
        If the file cannot be read or is not GeoJSON.
    """
    return sum(node["type"] in _NOT_AREAS for _, node in _all_geometries(load_geojson(path), path))


def _all_geometries(
    node: Any, path: Path, feature: dict[str, Any] | None = None
) -> Iterator[Geometry]:
    if isinstance(node, list):
        for item in node:
            yield from _all_geometries(item, path, feature)
        return
    kind = node.get("type") if isinstance(node, dict) else None
    if kind in _POLYGONS + _NOT_AREAS:
        yield feature or {}, node
    elif kind == "FeatureCollection":
        yield from _all_geometries(_part(node, "features", path), path)
    elif kind == "GeometryCollection":
        yield from _all_geometries(_part(node, "geometries", path), path, feature)
    elif kind == "Feature":
        if node.get("geometry") is not None:  # GeoJSON allows a feature without a place
            yield from _all_geometries(node["geometry"], path, node)
    else:
        raise RegionError(f"{path} is not GeoJSON (type {kind!r}); {EXPORT_AGAIN}")


def _part(node: dict[str, Any], key: str, path: Path) -> list[Any]:
    part = node.get(key)
    if not isinstance(part, list):
        raise RegionError(f"{path} is not GeoJSON ({node['type']} without {key}); {EXPORT_AGAIN}")
    return part


def parse_area(node: dict[str, Any], path: Path) -> Polygon | MultiPolygon:
    """Return the area of a geometry, which may cross itself.

    Raises
    ------
    RegionError
        If its coordinates are none.
    """
    try:
        with np.errstate(invalid="ignore"):  # NaN is dealt with below
            geometry = shapely.force_2d(shape(node))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise _outline_error(path) from error
    except shapely.errors.ShapelyError as error:
        raise _outline_error(path) from error
    if not all(map(math.isfinite, shapely.get_coordinates(geometry).ravel())):
        raise _outline_error(path)
    return geometry


def _outline_error(path: Path) -> RegionError:
    return RegionError(
        f"{path} holds an outline whose coordinates are not at least 3 points of 2 numbers; "
        f"{EXPORT_AGAIN}"
    )
