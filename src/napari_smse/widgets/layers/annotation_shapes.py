"""Annotations as the shapes of a Shapes layer, and back: parts, holes, classes, identities."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

import numpy as np
import pandas as pd
import shapely
from napari.components import ViewerModel
from napari.layers import Layer, Shapes
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon

from napari_smse.annotations import Annotation, AnnotationSet
from napari_smse.annotations.region_editing import polygons_of, without_holes
from napari_smse.palette import UNKNOWN_COLOUR, Colour
from napari_smse.slides import Slide
from napari_smse.widgets.layers.regions import CLASS as CLASS
from napari_smse.widgets.layers.regions import HOLE as HOLE
from napari_smse.widgets.layers.regions import IDENTITY as IDENTITY
from napari_smse.widgets.layers.regions import moved_all, world_outlines
from napari_smse.widgets.slide_layers import (
    LayerKind,
    LayerMark,
    layers_of_kind,
    level0_to_world,
    mark_of,
    world_to_level0,
)
from napari_smse.widgets.tile_notes import notes_of

FILL: Final = 0.2
"""How opaque the inside of a region is."""

_EDGE_UM: Final = 5.0
_STEPS: Final = 100


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


class ShapesHistory:
    """How an annotation layer was, step by step, and how it was before steps were taken back.

    Parameters
    ----------
    layer
        The layer.

    Attributes
    ----------
    now
        How it was when it was noted, taken back or done again last.
    """

    def __init__(self, layer: Shapes) -> None:
        self._layer = layer
        self.now = shapes_in(layer)
        self._undos: list[ShapesData] = []
        self._redos: list[ShapesData] = []

    @property
    def count(self) -> int:
        """How many shapes there were."""
        return len(self.now.outlines)

    def note(self) -> None:
        """Note a step: how the layer is now."""
        self._undos.append(self.now)
        del self._undos[:-_STEPS]
        self._redos.clear()
        self.now = shapes_in(self._layer)

    def undo(self) -> ShapesData | None:
        """Return how it was before the last step, which is taken back; None if there is none."""
        return self._move(self._undos, self._redos)

    def redo(self) -> ShapesData | None:
        """Return how it was before a step was taken back last; None if there is none."""
        return self._move(self._redos, self._undos)

    def _move(self, source: list[ShapesData], back: list[ShapesData]) -> ShapesData | None:
        if not source:
            return None
        back.append(self.now)
        self.now = source.pop()
        return self.now


def new_annotation_layer(slide_layer: Layer, slide: Slide) -> Shapes:
    """Return an empty layer for annotations, which lies as the layer of their slide does."""
    return Shapes(
        ndim=2,
        name=f"Annotations · {slide.name}",
        scale=slide_layer.scale[-2:],
        translate=slide_layer.translate[-2:],
        units=slide_layer.units[-2:],
        axis_labels=slide_layer.axis_labels[-2:],
        features=shape_features([]),
        edge_width=_EDGE_UM / max(float(slide_layer.scale[-1]), 1e-6),
        opacity=1,
        metadata=LayerMark(LayerKind.ANNOTATIONS, slide.quick_hash, {}).metadata,
    )


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


def exchange_annotations(
    layer: Shapes, slide_layer: Layer, gone: Collection[str], drawn: Sequence[Annotation]
) -> None:
    """Show annotations in place of those of some identities; all others stay as they are.

    Parameters
    ----------
    layer, slide_layer
        Where they are drawn, and on what.
    gone
        Identities of those that go.
    drawn
        Those that come, level-0 px.
    """
    layer.selected_data = set()
    if len(layer.data):
        layer.remove(np.flatnonzero(layer.features[IDENTITY].isin(list(gone))).tolist())
    new = annotations_as_shapes(AnnotationSet(tuple(drawn)), layer, slide_layer)
    if new.outlines:
        before = layer.features.copy()
        layer.add(list(new.outlines), shape_type=list(new.kinds))
        features = pd.concat([before, new.features], ignore_index=True)
        layer.features = features.astype(shape_features([]).dtypes)
    layer.selected_data = set()


def name_shapes(layer: Shapes, first: int, class_name: str) -> None:
    """Give shapes that were just drawn or pasted, and lie at the end, identities of their own.

    Parameters
    ----------
    layer
        Where they are.
    first
        Row of the first of them.
    class_name
        Of those that have none.
    """
    features = layer.features.copy()
    renamed: dict[str, str] = {}
    for row in range(first, len(features)):
        old = str(features.at[row, IDENTITY] or "")
        # Parts and holes that were pasted together stay together.
        identity = str(uuid4())
        features.at[row, IDENTITY] = renamed.setdefault(old, identity) if old else identity
        features.at[row, CLASS] = features.at[row, CLASS] or class_name
    layer.features = features


def colour_shapes(layer: Shapes, colours: Mapping[str, Colour]) -> None:
    """Colour by class: set directly, as napari's own colouring goes by order of appearance."""
    names = [str(name) for name in layer.features[CLASS]]
    edges = np.array([rgba(colours.get(name)) for name in names])
    faces = edges.copy()
    faces[:, 3] = np.where(layer.features[HOLE].to_numpy(dtype=bool), 0, FILL)
    layer.edge_color, layer.face_color = edges, faces


def rgba(colour: Colour | None) -> tuple[float, float, float, float]:
    """Return a colour as napari has it; grey for none."""
    red, green, blue = colour or UNKNOWN_COLOUR
    return red / 255, green / 255, blue / 255, 1.0


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
        for ring, hole in rings_of(one.geometry):
            outlines.append(moved_all(level0_to_world(slide_layer, ring), layer.world_to_data))
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
    rows = layer.features[[CLASS, IDENTITY, HOLE]].itertuples(index=False, name=None)
    for outline, (name, identity, hole) in zip(world_outlines(layer), rows, strict=True):
        if outline is not None:
            polygon = Polygon(world_to_level0(slide_layer, outline))
            parts.setdefault(identity, []).append((bool(hole), polygon))
            names[identity] = str(name)
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


def rings_of(geometry: Polygon | MultiPolygon) -> Iterator[tuple[NDArray[np.float64], bool]]:
    """Yield outlines ``(n, 2)`` without the closing point, and whether each is a hole's."""
    for polygon in geometry.geoms if isinstance(geometry, MultiPolygon) else [geometry]:
        yield np.asarray(polygon.exterior.coords)[:-1, :2], False
        for hole in polygon.interiors:
            yield np.asarray(hole.coords)[:-1, :2], True


def layer_colours(layer: Layer) -> dict[str, Colour]:
    """Return the classes of an annotation layer and their colours, as its mark has them."""
    mark = mark_of(layer)
    return dict(mark.detail or {}) if mark is not None else {}


def _whole(parts: Sequence[tuple[bool, Polygon]], slide: Slide) -> Polygon | MultiPolygon | None:
    """Join parts, cut holes and what lies beside the slide; None if no area is left."""
    drawn, holes = ([part for is_hole, part in parts if is_hole is kind] for kind in (False, True))
    whole = without_holes(drawn, holes)
    page = shapely.box(0, 0, slide.width, slide.height)
    if not page.covers(whole):
        whole = whole.intersection(page)
    return polygons_of(whole)


def annotation_layer_of(viewer: ViewerModel, slide: Slide) -> Shapes | None:
    """Return the layer with the annotations of a slide, if there is one."""
    layers = layers_of_kind(viewer, LayerKind.ANNOTATIONS, slide.quick_hash)
    return next((layer for layer in layers if isinstance(layer, Shapes)), None)


def add_annotation_layer(viewer: ViewerModel, slide_layer: Layer, slide: Slide) -> Shapes:
    """Add a layer for the annotations of a slide."""
    layer = new_annotation_layer(slide_layer, slide)
    viewer.layers.append(layer)
    return layer
