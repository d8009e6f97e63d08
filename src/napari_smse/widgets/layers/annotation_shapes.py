"""Annotations as the shapes of a Shapes layer, and back: parts, holes, classes, identities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import shapely
from napari.layers import Layer, Shapes
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon

from napari_smse.annotations import Annotation, AnnotationSet
from napari_smse.palette import Colour
from napari_smse.slides import Slide
from napari_smse.widgets.layers.regions import AREAS, world_outline
from napari_smse.widgets.slide_layers import level0_to_world, mark_of, world_to_level0
from napari_smse.widgets.tile_notes import notes_of

CLASS, IDENTITY, HOLE = "class", "annotation", "hole"
"""Features of a shape: name of the class, identity of the annotation, whether it is a hole."""


@dataclass(frozen=True)
class ShapesData:
    """Shapes of an annotation layer, apart from the layer.

    Attributes
    ----------
    outlines
        Vertices of each, (n, 2) as (y, x) in the layer's own coordinates.
    kinds
        What napari calls the type of each: polygon, rectangle, ...
    features
        A row for each, with `CLASS`, `IDENTITY` and `HOLE`.
    """

    outlines: tuple[NDArray[np.float64], ...]
    kinds: tuple[str, ...]
    features: pd.DataFrame


def shapes_in(layer: Shapes) -> ShapesData:
    """Return a copy of the shapes in an annotation layer."""
    return ShapesData(
        tuple(np.array(one) for one in layer.data),
        tuple(layer.shape_type),
        layer.features.copy(),
    )


def replace_shapes(layer: Shapes, shapes: ShapesData) -> None:
    """Show these shapes in place of those in a layer; none is selected then."""
    layer.selected_data = set(range(len(layer.data)))
    layer.remove_selected()
    if shapes.outlines:
        layer.add(list(shapes.outlines), shape_type=list(shapes.kinds))
        layer.features = shapes.features.reset_index(drop=True)
    layer.selected_data = set()


def shape_features(rows: Sequence[tuple[str, str, bool]]) -> pd.DataFrame:
    """Return the features of shapes; of no rows, those of an empty layer.

    Parameters
    ----------
    rows
        Name of the class, identity of the annotation, and whether it is a hole, for each shape.
    """
    found = pd.DataFrame(rows, columns=[CLASS, IDENTITY, HOLE])
    return found.astype({CLASS: object, IDENTITY: object, HOLE: bool})


def annotations_as_shapes(
    annotations: AnnotationSet, layer: Shapes, slide_layer: Layer
) -> ShapesData:
    """Return annotations as shapes, one for each part and one for each hole.

    Parameters
    ----------
    annotations
        In level-0 px.
    layer, slide_layer
        Where they are to be drawn, and on what.
    """
    outlines, rows = [], []
    for one in annotations.annotations:
        for ring, hole in _rings(one.geometry):
            world = level0_to_world(slide_layer, ring)
            outlines.append(np.array([layer.world_to_data(point) for point in world]))
            rows.append((one.class_name, one.id, hole))
    return ShapesData(tuple(outlines), ("polygon",) * len(outlines), shape_features(rows))


def annotations_in(
    layer: Shapes,
    slide_layer: Layer,
    slide: Slide,
    known: Mapping[str, Annotation] | None = None,
    colours: Mapping[str, Colour] | None = None,
) -> AnnotationSet:
    """Return what is drawn in an annotation layer, in level-0 px.

    Parameters
    ----------
    layer, slide_layer, slide
        Where it is drawn, and on what.
    known
        By identity, annotations whose further properties are to be kept.
    colours
        Of the classes; those of the layer by default.
    """
    parts: dict[str, list[tuple[bool, Polygon]]] = {}
    names: dict[str, str] = {}
    for index, kind in enumerate(layer.shape_type):
        if kind not in AREAS:
            continue
        row = layer.features.iloc[index]
        outline = world_to_level0(slide_layer, world_outline(layer, index))
        parts.setdefault(row[IDENTITY], []).append((bool(row[HOLE]), Polygon(outline)))
        names[row[IDENTITY]] = str(row[CLASS])
    drawn = []
    for identity, found in parts.items():
        geometry = _whole(found, slide)
        if geometry is not None:
            one = (known or {}).get(identity)
            kept = {} if one is None else one.properties
            drawn.append(Annotation(names[identity], geometry, identity, kept))
    notes = notes_of(slide_layer)
    return AnnotationSet(
        tuple(drawn),
        dict(colours or layer_colours(layer)),
        notes.links,
        notes.corrections,
        notes.case,
    )


def layer_colours(layer: Layer) -> dict[str, Colour]:
    """Return the classes of an annotation layer and their colours, as its mark has them."""
    mark = mark_of(layer)
    return dict(mark.detail or {}) if mark is not None else {}


def _rings(geometry: Polygon | MultiPolygon) -> Iterator[tuple[NDArray[np.float64], bool]]:
    """Yield outlines ``(n, 2)`` without the closing point, and whether each is a hole's."""
    for polygon in geometry.geoms if isinstance(geometry, MultiPolygon) else [geometry]:
        yield np.asarray(polygon.exterior.coords)[:-1, :2], False
        for hole in polygon.interiors:
            yield np.asarray(hole.coords)[:-1, :2], True


def _whole(parts: Sequence[tuple[bool, Polygon]], slide: Slide) -> Polygon | MultiPolygon | None:
    """Join parts, cut holes and what lies beside the slide; None if no area is left."""
    drawn, holes = (
        shapely.union_all([shapely.make_valid(part) for is_hole, part in parts if is_hole is kind])
        for kind in (False, True)
    )
    whole = drawn.difference(holes)
    page = shapely.box(0, 0, slide.width, slide.height)
    if not page.covers(whole):
        whole = whole.intersection(page)
    areas = [part for part in shapely.get_parts(whole) if isinstance(part, Polygon) and part.area]
    if not areas:
        return None
    return areas[0] if len(areas) == 1 else MultiPolygon(areas)
