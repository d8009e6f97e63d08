"""Annotations of a slide, kept with all that QuPath wrote about them.

QuPath counts pixels from OpenSlide's bounds, and everything here from the corner of
level 0; `bounds_origin`, the corner of the bounds in level-0 px, leads from one to the other.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import shapely
from shapely import MultiPolygon, Polygon

from napari_smse.annotations.geojson import DrawnArea, read_annotated_areas
from napari_smse.annotations.tile_labels import class_areas, is_ignored
from napari_smse.annotations.tile_notes import (
    PairConstraint,
    TileCorrection,
    TileNotes,
    notes_member,
    read_notes,
    read_tile_notes,
)
from napari_smse.atomic_write import atomic_path
from napari_smse.palette import Colour, annotation_colours


def _new_id() -> str:
    return str(uuid4())


@dataclass(frozen=True)
class Annotation:
    """A region that a person drew and gave a class.

    Attributes
    ----------
    class_name
        Empty if it has none yet.
    geometry
        Valid, in level-0 px; one area with holes, or several.
    id
        A UUID, QuPath's own where it gave one.
    properties
        Further properties in its file (name, measurements, lock, ...), written back as they were.
    """

    class_name: str
    geometry: Polygon | MultiPolygon
    id: str = field(default_factory=_new_id)
    properties: Mapping[str, Any] = field(default_factory=dict)

    def is_drawn_as(self, other: Annotation) -> bool:
        """Whether another region has this class and outline, to a px² or a millionth of it."""
        unlike = self.geometry.symmetric_difference(other.geometry).area
        same = unlike <= max(1.0, 1e-6 * self.geometry.area)
        return same and self.class_name == other.class_name


@dataclass(frozen=True)
class AnnotationSet:
    """The annotations of one slide, and the colours of their classes.

    Attributes
    ----------
    annotations
        The regions, in the order they were drawn.
    colours
        RGB, 0..255, by class name; classes without one get one when written.
    constraints, corrections
        Notes on pairs of tiles, and on single ones.
    case
        The case, such as a patient, that the slide is of; empty if nobody has stated it.
    """

    annotations: tuple[Annotation, ...] = ()
    colours: Mapping[str, Colour] = field(default_factory=dict)
    constraints: tuple[PairConstraint, ...] = ()
    corrections: tuple[TileCorrection, ...] = ()
    case: str = ""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes with a colour, then those without, each once."""
        used = (annotation.class_name for annotation in self.annotations if annotation.class_name)
        return tuple(dict.fromkeys([*self.colours, *used]))

    def class_colour(self, name: str) -> Colour:
        """Return the colour of a class, given or its own."""
        return self.colours.get(name) or annotation_colours(self.classes or (name,))[name]

    def regions(self) -> dict[str, MultiPolygon]:
        """Return the area that counts for each class, level-0 px, by class name.

        Classes that QuPath ignores (their names end in ``*``) are left out, and so is what the
        others have under them: see `napari_smse.annotations.tile_labels.class_areas`.
        """
        return class_areas((one.class_name, one.geometry) for one in self.annotations)

    def ignored(self) -> dict[str, MultiPolygon]:
        """Return the area of each class that QuPath ignores, level-0 px, by class name."""
        by_class: dict[str, list[Polygon | MultiPolygon]] = defaultdict(list)
        for one in self.annotations:
            if is_ignored(one.class_name):
                by_class[one.class_name].append(one.geometry)
        return {name: _several(shapely.union_all(areas)) for name, areas in by_class.items()}


def read_annotations(path: Path, *, bounds_origin: tuple[int, int] = (0, 0)) -> AnnotationSet:
    """Read annotations from GeoJSON as QuPath exports it.

    Points and lines are left out and outlines that cross themselves are repaired; the log names
    both. Areas without a class are kept. Tiles and other detections are no annotations: they are
    left out with a warning in the log. Notes on tiles that this program wrote are read, too.

    Parameters
    ----------
    path
        The file.
    bounds_origin
        Corner of OpenSlide's bounds, level-0 px.

    Raises
    ------
    RegionError
        If the file cannot be read or is not GeoJSON, holds tiles or detections only, or its notes
        on tiles are damaged.
    """
    areas = read_annotated_areas(path)
    return _annotation_set(areas, bounds_origin, lambda: read_tile_notes(path))


def annotations_from_geojson(collection: Mapping[str, Any], path: Path) -> AnnotationSet:
    """Return the annotations in a decoded collection of `annotations_as_geojson`.

    Parameters
    ----------
    collection
        As `json.loads` gives it; places are level-0 px.
    path
        The file that it is from, to be named in messages.

    Raises
    ------
    RegionError
        As `read_annotations` does.
    """
    areas = read_annotated_areas(path, collection)
    return _annotation_set(areas, (0, 0), lambda: read_notes(collection, path))


def _annotation_set(
    areas: Iterable[DrawnArea],
    bounds_origin: tuple[int, int],
    notes_on_tiles: Callable[[], TileNotes],
) -> AnnotationSet:
    annotations: list[Annotation] = []
    colours: dict[str, Colour] = {}
    ids: set[str] = set()
    for area in areas:
        if not area.polygons:
            continue
        annotation = _annotation(area, bounds_origin)
        if annotation.id in ids:
            # A feature of several geometries, or a file put together from two.
            annotation = replace(annotation, id=_new_id())
        ids.add(annotation.id)
        annotations.append(annotation)
        colour = _colour(area.feature)
        if area.class_name and colour is not None:
            colours.setdefault(area.class_name, colour)
    notes = notes_on_tiles()
    return AnnotationSet(
        tuple(annotations), colours, notes.constraints, notes.corrections, notes.case
    )


def write_annotations(
    path: Path, annotations: AnnotationSet, *, bounds_origin: tuple[int, int] = (0, 0)
) -> None:
    """Write annotations as QuPath reads them, whole or not at all.

    Parameters
    ----------
    path
        The file, usually ending in ``.geojson``.
    annotations
        Annotations to write.
    bounds_origin
        Corner of OpenSlide's bounds, level-0 px.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    text = json.dumps(annotations_as_geojson(annotations, bounds_origin))
    with atomic_path(path) as part:
        part.write_text(text + "\n", encoding="utf-8")


def annotations_as_geojson(
    annotations: AnnotationSet, bounds_origin: tuple[int, int] = (0, 0)
) -> dict[str, Any]:
    """Return annotations as a collection that JSON can hold, as QuPath reads it.

    Parameters
    ----------
    annotations
        With their notes on tiles.
    bounds_origin
        Corner of OpenSlide's bounds, level-0 px.
    """
    features = [
        _feature(annotation, annotations, bounds_origin) for annotation in annotations.annotations
    ]
    notes = notes_member(annotations.constraints, annotations.corrections, annotations.case)
    return {"type": "FeatureCollection", "features": features, **notes}


def _annotation(area: DrawnArea, origin: tuple[int, int]) -> Annotation:
    geometry = area.polygons[0] if len(area.polygons) == 1 else MultiPolygon(area.polygons)
    given = area.feature.get("properties")
    given = given if isinstance(given, dict) else {}
    properties = {key: value for key, value in given.items() if key != "classification"}
    identity = area.feature.get("id")
    return Annotation(
        area.class_name,
        _moved(geometry, origin),
        identity if isinstance(identity, str) and identity else _new_id(),
        properties,
    )


def _feature(
    annotation: Annotation, annotations: AnnotationSet, origin: tuple[int, int]
) -> dict[str, Any]:
    properties: dict[str, Any] = {"objectType": "annotation", **annotation.properties}
    if annotation.class_name:
        colour = list(annotations.class_colour(annotation.class_name))
        properties["classification"] = {"name": annotation.class_name, "color": colour}
    geometry = shapely.geometry.mapping(_moved(annotation.geometry, (-origin[0], -origin[1])))
    return {"type": "Feature", "id": annotation.id, "geometry": geometry, "properties": properties}


def _moved(geometry: Polygon | MultiPolygon, by: Iterable[float]) -> Polygon | MultiPolygon:
    step = tuple(by)
    return shapely.transform(geometry, lambda points: points + step)


def _several(geometry: Polygon | MultiPolygon) -> MultiPolygon:
    return geometry if isinstance(geometry, MultiPolygon) else MultiPolygon([geometry])


def _colour(feature: Mapping[str, Any]) -> Colour | None:
    """Return a class's colour: a list of three, or the signed integer of older QuPath files."""
    properties = feature.get("properties")
    classification = properties.get("classification") if isinstance(properties, dict) else None
    if not isinstance(classification, dict):
        return None
    colour = classification.get("color")
    if isinstance(colour, list) and len(colour) == 3 and all(_is_byte(part) for part in colour):
        return colour[0], colour[1], colour[2]
    packed = classification.get("colorRGB")
    if isinstance(packed, int):
        return packed >> 16 & 255, packed >> 8 & 255, packed & 255
    return None


def _is_byte(value: object) -> bool:
    return isinstance(value, int) and 0 <= value <= 255
