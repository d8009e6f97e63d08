"""Hits that stay: regions of a class beside what is drawn, or points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer, Points, Shapes
from numpy.typing import NDArray
from shapely import Polygon

from napari_smse.annotations import Annotation, AnnotationSet
from napari_smse.palette import annotation_colours
from napari_smse.slides import Slide
from napari_smse.widgets.layers.annotation_layer import AnnotationLayer, colours_drawn_with
from napari_smse.widgets.scored_slides import classes_for
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import LayerKind, LayerMark, layers_of_kind, level0_to_world

_POINT_SHARE = 0.4
_POINT_COLOUR = "#009e73"


def add_as_regions(
    viewer: ViewerModel,
    slide_layer: Image,
    slide: Slide,
    class_name: str,
    polygons: Sequence[Polygon],
) -> Shapes:
    """Add regions of a class to the slide's annotations, and return their layer.

    If the Annotate dock shows the slide they are added through it, so that it counts and saves
    them, and can take them back.

    Parameters
    ----------
    viewer, slide_layer, slide
        Where they are drawn, and on what.
    class_name
        Known or new.
    polygons
        Level-0 px.
    """
    new = tuple(Annotation(class_name, polygon) for polygon in polygons)
    return add_annotations(viewer, slide_layer, slide, AnnotationSet(new), [class_name])


def add_annotations(
    viewer: ViewerModel,
    slide_layer: Image,
    slide: Slide,
    new: AnnotationSet,
    classes: Sequence[str] = (),
) -> Shapes:
    """Add annotations, and notes on tiles, to those of a slide, and return their layer.

    As `add_as_regions` does.

    Parameters
    ----------
    viewer, slide_layer, slide
        Where they are drawn, and on what.
    new
        The annotations, level-0 px.
    classes
        Further classes to annotate with.
    """
    session = session_of(viewer)
    drawing, annotator = session.drawing_on(slide), session.annotator
    if drawing is not None and annotator is not None:
        # Choosing a class would give it to the shapes that are selected.
        drawing.layer.selected_data = set()
        for name in dict.fromkeys([*new.classes, *classes]):
            annotator.add_class(name, new.colours.get(name))
        drawing.set_colours(annotator.classes)
        drawing.add(replace(new, colours=annotator.classes))
        return drawing.layer
    known = classes_for(viewer, slide_layer, slide)
    drawn_with = colours_drawn_with(viewer, slide)
    names = dict.fromkeys([*known, *new.classes, *classes])
    colours = annotation_colours([*names], {**known, **new.colours, **drawn_with})
    active = viewer.layers.selection.active
    drawing = AnnotationLayer(viewer, slide_layer, slide, colours)
    try:
        drawing.add(replace(new, colours=colours))
    finally:
        drawing.release()
    viewer.layers.selection.active = active
    session.annotations_changed.emit()
    return drawing.layer


def add_as_points(
    viewer: ViewerModel,
    slide_layer: Layer,
    slide: Slide,
    middles: NDArray[np.floating],
    distances: NDArray[np.floating],
    edge: float,
) -> Points:
    """Show hits as points, in place of those of an earlier search on the slide.

    Parameters
    ----------
    viewer, slide_layer, slide
        Where, and on what.
    middles
        ``(n, 2)`` as (x, y), level-0 px.
    distances
        ``(n,)``, the feature ``distance`` of the points.
    edge
        Of a tile, level-0 px.
    """
    for layer in layers_of_kind(viewer, LayerKind.HITS, slide.quick_hash):
        viewer.layers.remove(layer)
    active = viewer.layers.selection.active
    made = Points(
        level0_to_world(slide_layer, middles),
        name=f"Hits · {slide.name}",
        size=_POINT_SHARE * edge * float(slide_layer.scale[-1]),
        face_color=_POINT_COLOUR,
        border_color="white",
        features={"distance": distances},
        units=slide_layer.units[-2:],
        axis_labels=slide_layer.axis_labels[-2:],
        metadata=LayerMark(LayerKind.HITS, slide.quick_hash).metadata,
    )
    viewer.layers.append(made)
    viewer.layers.selection.active = active
    return made
