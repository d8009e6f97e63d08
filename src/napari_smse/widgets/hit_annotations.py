"""Hits that stay: regions of a class beside what is drawn, or points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer, Points, Shapes
from numpy.typing import NDArray
from qtpy.QtWidgets import QWidget
from shapely import Polygon

from napari_smse.annotations import Annotation, AnnotationSet
from napari_smse.palette import Colour, class_colours
from napari_smse.slides import Slide
from napari_smse.widgets.annotate.class_presets import USUAL
from napari_smse.widgets.annotate.dock import AnnotateDock
from napari_smse.widgets.layers.annotation_layer import (
    ANNOTATIONS_KEY,
    COLOURS_KEY,
    AnnotationLayer,
)
from napari_smse.widgets.layers.slide_layers import OF_SLIDE_KEY, level0_to_world
from napari_smse.workflows.score_slide import RUN_KEY
from napari_smse.workflows.scored_slide import Run

HITS_KEY = "napari_smse_hits"
"""Key of a points layer's metadata: the quick hash of the slide that the hits are on."""

_POINT_SHARE = 0.4
_POINT_COLOUR = "#009e73"


def offered_classes(
    window: QWidget, viewer: ViewerModel, slide_layer: Layer, slide: Slide
) -> dict[str, Colour]:
    """Return the classes to choose from, with colours.

    Those of the Annotate dock if it is open, else those that were drawn with, else those of the
    model that scored the slide.
    """
    dock = window.findChild(AnnotateDock)
    if dock is not None and dock.table.colours:
        return dock.table.colours
    for layer in viewer.layers:
        if layer.metadata.get(ANNOTATIONS_KEY) == slide.quick_hash:
            drawn: Mapping[str, Colour] = layer.metadata.get(COLOURS_KEY, {})
            if drawn:
                return dict(drawn)
    run = slide_layer.metadata.get(RUN_KEY)
    if isinstance(run, Run):
        return class_colours(run.card.classes, run.card.class_colours)
    return class_colours(USUAL)


def keep_as_regions(
    window: QWidget,
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
    window
        Where the Annotate dock may be.
    viewer, slide_layer, slide
        Where they are drawn, and on what.
    class_name
        Known or new.
    polygons
        Level-0 px.
    """
    found = tuple(Annotation(class_name, one) for one in polygons)
    dock = window.findChild(AnnotateDock)
    if dock is not None and dock.drawing is not None and _is_of(dock, slide):
        # Choosing a class would give it to the shapes that are selected.
        dock.drawing.layer.selected_data = set()
        dock.table.add_class(class_name)
        dock.drawing.set_colours(dock.table.colours)
        dock.drawing.add(AnnotationSet(found, dock.table.colours))
        return dock.drawing.layer
    known = offered_classes(window, viewer, slide_layer, slide)
    colours = class_colours([*dict.fromkeys([*known, class_name])], known)
    active = viewer.layers.selection.active
    drawing = AnnotationLayer(viewer, slide_layer, slide, colours)
    try:
        drawing.add(AnnotationSet(found, colours))
    finally:
        drawing.leave()
    viewer.layers.selection.active = active
    return drawing.layer


def keep_as_points(
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
    for layer in list(viewer.layers):
        if layer.metadata.get(HITS_KEY) == slide.quick_hash:
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
        metadata={HITS_KEY: slide.quick_hash, OF_SLIDE_KEY: slide.quick_hash},
    )
    viewer.layers.append(made)
    viewer.layers.selection.active = active
    return made


def _is_of(dock: AnnotateDock, slide: Slide) -> bool:
    return dock.slide is not None and dock.slide.quick_hash == slide.quick_hash
