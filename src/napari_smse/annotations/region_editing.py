"""Areas added to what is drawn and taken away from it, as a brush, an eraser and a cut do.

All of it leaves annotations that are not met as they were, the very same objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import shapely
from shapely import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from napari_smse.annotations.annotation_set import Annotation


def add_area(
    annotations: Sequence[Annotation], area: BaseGeometry, class_name: str
) -> tuple[Annotation, ...]:
    """Add an area to the regions of a class: those that it meets become one region with it.

    So regions of a class that did not overlap before do not overlap afterwards.

    Parameters
    ----------
    annotations
        What is drawn, in order.
    area
        Level-0 px; one without an area changes nothing.
    class_name
        Regions of other classes stay, also where they lie under it.

    Returns
    -------
    tuple
        The region keeps identity, properties and place of the first one it took in; one that
        meets none comes last.
    """
    added = polygons_of(area)
    if added is None:
        return tuple(annotations)
    met = [one for one in annotations if one.class_name == class_name and _meets(one, added)]
    if not met:
        return (*annotations, Annotation(class_name, added))
    whole = polygons_of(shapely.union_all([added, *(one.geometry for one in met)]))
    assert whole is not None
    first, others = met[0], {one.id for one in met[1:]}
    grown = first if whole.equals(first.geometry) else replace(first, geometry=whole)
    return tuple(grown if one is first else one for one in annotations if one.id not in others)


def subtract_area(
    annotations: Sequence[Annotation], area: BaseGeometry, class_name: str | None
) -> tuple[Annotation, ...]:
    """Take an area away from the regions of a class; a region of which nothing is left is gone.

    Parameters
    ----------
    annotations
        What is drawn, in order.
    area
        Level-0 px.
    class_name
        The class; None for regions of every class.

    Returns
    -------
    tuple
        A region that falls apart stays one annotation, of several parts.
    """
    taken = polygons_of(area)
    if taken is None:
        return tuple(annotations)
    left: list[Annotation] = []
    for one in annotations:
        overlaps = _meets(one, taken) and not one.geometry.touches(taken)
        if class_name not in (None, one.class_name) or not overlaps:
            left.append(one)
            continue
        rest = polygons_of(one.geometry.difference(taken))
        if rest is not None:
            left.append(replace(one, geometry=rest))
    return tuple(left)


def polygons_of(geometry: BaseGeometry) -> Polygon | MultiPolygon | None:
    """Return the parts of a geometry that have an area; None if none has."""
    parts = shapely.get_parts(shapely.get_parts(geometry))
    areas = [part for part in parts if isinstance(part, Polygon) and part.area > 0]
    if not areas:
        return None
    return areas[0] if len(areas) == 1 else MultiPolygon(areas)


def _meets(annotation: Annotation, area: BaseGeometry) -> bool:
    return bool(annotation.geometry.intersects(area))


def without_holes(parts: Sequence[Polygon], holes: Sequence[Polygon]) -> BaseGeometry:
    """Join parts, each without the holes that lie in it; an island in a hole stays.

    Parameters
    ----------
    parts, holes
        Outlines as they were drawn, which may cross themselves.
    """
    areas, cuts = ([shapely.make_valid(one) for one in side] for side in (parts, holes))
    return shapely.union_all([area.difference(_cut_from(area, cuts, len(areas))) for area in areas])


def _cut_from(part: BaseGeometry, holes: Sequence[BaseGeometry], parts: int) -> BaseGeometry:
    """Return the holes of a part: all where it is the only one, else those that it surrounds."""
    own = [
        hole
        for hole in holes
        if parts == 1 or (hole.area <= part.area and part.intersects(hole.representative_point()))
    ]
    return shapely.union_all(own)
