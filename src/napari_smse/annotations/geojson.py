"""Areas drawn on a slide, read from GeoJSON the way QuPath writes it.

QuPath crops a slide to OpenSlide's bounds and counts its pixels from there, while
everything in this package counts from the corner of level 0. `bounds_origin`, the
corner of the bounds in level-0 px, leads from one to the other.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import shapely
from shapely import MultiPolygon, Polygon

from napari_smse.annotations.geojson_geometries import (
    EXPORT_AGAIN,
    geometries,
    load_geojson,
    parse_area,
)
from napari_smse.annotations.outline_mending import mended
from napari_smse.annotations.tile_labels import class_areas, is_ignored
from napari_smse.errors import RegionError
from napari_smse.palette import IGNORE

logger = logging.getLogger(__name__)

NO_LABELS = "tiles or detections, whose classes a program gave them and no person"


@dataclass(frozen=True)
class DrawnArea:
    """An area drawn on a slide.

    Attributes
    ----------
    class_name
        Empty if it has none.
    polygons
        Valid ones that it consists of, as in the file.
    feature
        The GeoJSON feature that it is from; empty for a bare geometry.
    """

    class_name: str
    polygons: list[Polygon]
    feature: dict[str, Any]

    @property
    def is_annotation(self) -> bool:
        """Whether a person drew it, see `napari_smse.annotations.geojson`."""
        return is_annotation(self.feature)


def read_regions(path: Path, *, bounds_origin: tuple[int, int] = (0, 0)) -> MultiPolygon:
    """Read the areas in a GeoJSON file.

    A FeatureCollection, a Feature, a GeometryCollection, a bare geometry or a list of
    any of these will do. Areas that overlap become one, and what is of the class
    ``Ignore*`` is cut out of them. Points and lines are left out and outlines that
    cross themselves are repaired; the log names both.

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
        If the file cannot be read, is not GeoJSON, or holds no area but what is ignored.
    """
    wanted: list[Polygon] = []
    ignored: list[Polygon] = []
    for area in read_areas(path):
        (ignored if area.class_name == IGNORE else wanted).extend(area.polygons)
    left = shapely.difference(shapely.union_all(wanted), shapely.union_all(ignored))
    parts = [one for one in shapely.get_parts(left) if isinstance(one, Polygon) and one.area]
    if not parts:
        raise RegionError(
            f"{path} holds no area; draw at least one closed outline and {EXPORT_AGAIN}"
        )
    return MultiPolygon([_moved(one, bounds_origin) for one in parts])


def read_class_regions(
    path: Path, *, bounds_origin: tuple[int, int] = (0, 0)
) -> dict[str, MultiPolygon]:
    """Read what is annotated of each class in a GeoJSON file.

    As `read_regions` does, but only areas of one class become one. Areas without a class are left
    out with a note in the log. So are tiles and other detections, whose classes are what a
    program found and no labels; the log warns of them. Classes that QuPath ignores (their names
    end in ``*``) are left out with all that lies under them.

    Parameters
    ----------
    path
        The file; a feature's class is its ``properties.classification.name``.
    bounds_origin
        Corner of OpenSlide's bounds, level-0 px.

    Returns
    -------
    dict
        Valid areas in level-0 px by class name, sorted by name.

    Raises
    ------
    RegionError
        If the file cannot be read, is not GeoJSON, or holds no annotation with a class.
    """
    found = class_areas(classed_areas(path, bounds_origin=bounds_origin))
    if not found:
        raise no_class(path)
    return found


def classed_areas(
    path: Path, *, bounds_origin: tuple[int, int] = (0, 0)
) -> list[tuple[str, Polygon]]:
    """Return class name and polygons of the annotations in a GeoJSON file, level-0 px.

    Areas without a class, or of one that is ignored, are returned, too, and noted in the log; tiles
    are left out with a warning.

    Raises
    ------
    RegionError
        If the file cannot be read, is not GeoJSON, or holds tiles or detections only.
    """
    found: list[tuple[str, Polygon]] = []
    for area in read_annotated_areas(path):
        if not area.class_name or is_ignored(area.class_name):
            logger.info("%s: left out an area of %s", path, area.class_name or "no class")
        found += [(area.class_name, _moved(one, bounds_origin)) for one in area.polygons]
    return found


def no_class(path: Path) -> RegionError:
    """Return the error for a file in which no annotation has a class."""
    return RegionError(
        f"{path} holds no area with a class; set a class for at least one annotation and "
        f"{EXPORT_AGAIN}"
    )


def read_annotated_areas(path: Path, decoded: Any = None) -> Iterator[DrawnArea]:
    """Yield the annotations in a GeoJSON file one by one, and warn of what else it holds.

    Parameters
    ----------
    path
        The file.
    decoded
        GeoJSON that was read from it, if it is not all of the file.

    Raises
    ------
    RegionError
        If the file cannot be read, is not GeoJSON, or holds tiles or detections only.
    """
    any_annotation, detections = False, 0
    for feature, node in geometries(load_geojson(path) if decoded is None else decoded, path):
        area = _area(feature, node, path)
        if area.is_annotation:
            any_annotation = True
            yield area
        else:
            detections += 1
    if detections and not any_annotation:
        raise RegionError(
            f"{path} holds no annotation: its {detections} areas are {NO_LABELS}; draw regions and "
            f"{EXPORT_AGAIN}"
        )
    if detections:
        logger.warning("%s: left out %d areas that are %s", path, detections, NO_LABELS)


def count_detections(path: Path) -> int:
    """Return how many areas in a GeoJSON file are tiles or other detections.

    Raises
    ------
    RegionError
        If the file cannot be read or is not GeoJSON.
    """
    return sum(not is_annotation(feature) for feature, _ in geometries(load_geojson(path), path))


def holds_annotations(path: Path) -> bool:
    """Tell whether a GeoJSON file holds more than tiles and detections.

    So does one that cannot be read, as it may be meant to: whoever reads it raises the error.
    """
    try:
        kinds = [is_annotation(feature) for feature, _ in geometries(load_geojson(path), path)]
    except RegionError:
        return True
    return any(kinds) or not kinds


def read_areas(path: Path) -> Iterator[DrawnArea]:
    """Yield the areas in a GeoJSON file one by one, as they are in the file.

    Raises
    ------
    RegionError
        If the file cannot be read or is not GeoJSON.
    """
    for feature, node in geometries(load_geojson(path), path):
        yield _area(feature, node, path)


def _area(feature: dict[str, Any], node: dict[str, Any], path: Path) -> DrawnArea:
    return DrawnArea(_class_name(feature), mended(parse_area(node, path), path), feature)


def _moved(area: Any, origin: tuple[int, int]) -> Any:
    return shapely.transform(area, lambda points: points + origin)


def _class_name(feature: dict[str, Any]) -> str:
    """Return the class of a feature, empty if it has none."""
    properties = feature.get("properties")
    classification = properties.get("classification") if isinstance(properties, dict) else None
    if isinstance(classification, dict):
        # QuPath writes derived classes as a list of names.
        names = classification.get("names")
        joined = ": ".join(map(str, names)) if isinstance(names, list) else ""
        classification = classification.get("name") or joined
    return classification.strip() if isinstance(classification, str) else ""


MEASURED: Final = ("µm/px", "Tissue")
"""What an exported tile is measured by, beside the probability of each class."""

_PROBABILITY: Final = "P("
_NOT_DRAWN: Final = frozenset({"detection", "tile", "cell", "tmacore", "root"})


def probability_name(class_name: str) -> str:
    """Return what the probability of a class is called among the measurements of a tile."""
    return f"{_PROBABILITY}{class_name})"


def is_annotation(feature: Mapping[str, Any]) -> bool:
    """Tell whether a GeoJSON feature is an annotation.

    Tiles, cells and other detections are not, and neither is what has the measurements of a tile
    that this package exported, whatever it was made into since. A feature that does not state
    it is, as other programs write them, is taken for one.
    """
    given = feature.get("properties")
    properties = given if isinstance(given, dict) else {}
    stated = properties.get("objectType", properties.get("object_type", feature.get("id")))
    kind = stated.lower().replace("_", "") if isinstance(stated, str) else ""
    if kind.removeprefix("path").removesuffix("object") in _NOT_DRAWN:
        return False
    return not _has_scores(properties.get("measurements"))


def _has_scores(measurements: Any) -> bool:
    """Tell whether these are the measurements of a scored tile, in any writing of QuPath's."""
    if isinstance(measurements, list):
        measurements = {
            entry.get("name"): entry for entry in measurements if isinstance(entry, dict)
        }
    if not isinstance(measurements, dict):
        return False
    scored = any(isinstance(name, str) and name.startswith(_PROBABILITY) for name in measurements)
    return scored and all(name in measurements for name in MEASURED)
