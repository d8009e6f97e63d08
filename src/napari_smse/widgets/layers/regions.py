"""Regions of interest: what is drawn, or what is in view, in level-0 px."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum

import numpy as np
import shapely
from napari.components import ViewerModel
from napari.layers import Layer, Shapes
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from napari_smse.annotations.region_editing import without_holes
from napari_smse.errors import RegionError
from napari_smse.palette import IGNORE
from napari_smse.reader import SLIDE_KEY
from napari_smse.slides import Slide
from napari_smse.widgets.slide_layers import (
    LayerKind,
    is_of_kind,
    mark_of,
    world_to_level0,
)

CLASS, IDENTITY, HOLE = "class", "annotation", "hole"
"""Features of an annotation's shape: name of its class, identity, and whether it is a hole."""

AREAS = ("rectangle", "polygon", "ellipse")
"""Kinds of shapes that have an area."""


_ELLIPSE_POINTS = 64


class RegionChoice(StrEnum):
    """Where to score."""

    WHOLE = "Whole slide"
    VISIBLE = "What is in view"
    SHAPES = "Selected shapes"


def chosen_region(
    choice: RegionChoice, viewer: ViewerModel, slide_layer: Layer
) -> BaseGeometry | None:
    """The region to score, (x, y) in level-0 px; None for the whole slide.

    Raises
    ------
    RegionError
        If shapes are asked for and none that has an area is drawn.
    """
    if choice is RegionChoice.VISIBLE:
        return visible_region(viewer, slide_layer)
    if choice is RegionChoice.SHAPES:
        return drawn_region(viewer, slide_layer)
    return None


def visible_region(viewer: ViewerModel, slide_layer: Layer) -> BaseGeometry:
    """The part of the slide that the canvas shows."""
    camera = viewer.scene.camera
    centre = np.asarray(camera.center[-2:])
    half = np.asarray(viewer.canvas.size) / 2 / camera.zoom
    (x0, y0), (x1, y1) = world_to_level0(slide_layer, np.array([centre - half, centre + half]))
    return shapely.box(x0, y0, x1, y1)


def drawn_region(viewer: ViewerModel, slide_layer: Layer) -> BaseGeometry:
    """The selected shapes; all shapes of the selected, or else of any Shapes layer, if none is.

    What other slides are annotated with is left out; holes, and what is of the class ``Ignore*``,
    are cut out.
    """
    layers = [layer for layer in viewer.layers if _is_drawn_on(layer, slide_layer)]
    selected = [layer for layer in layers if layer in viewer.layers.selection]
    wanted: list[shapely.Polygon] = []
    holes: list[shapely.Polygon] = []
    ignored: list[BaseGeometry] = []
    for layer in selected or layers:
        for i in _chosen(layer):
            outline = world_outline(layer, i)
            if len(outline) >= 3:
                polygon = shapely.Polygon(world_to_level0(slide_layer, outline))
                if _is_ignored(layer, i):
                    ignored.append(shapely.make_valid(polygon))
                else:
                    (holes if _is_hole(layer, i) else wanted).append(polygon)
    region = without_holes(wanted, holes).difference(shapely.union_all(ignored))
    if region.area == 0:
        raise RegionError(
            "No area is drawn: add a Shapes layer, draw a rectangle or polygon on the slide, "
            "and select it."
        )
    return region


def _is_drawn_on(layer: Layer, slide_layer: Layer) -> bool:
    """Whether a layer holds shapes that somebody drew on this slide, or on none in particular."""
    if not isinstance(layer, Shapes):
        return False
    slide = slide_layer.metadata.get(SLIDE_KEY)
    known = slide.quick_hash if isinstance(slide, Slide) else None
    return mark_of(layer) is None or is_of_kind(layer, LayerKind.ANNOTATIONS, known)


def _chosen(layer: Shapes) -> list[int]:
    """Numbers of the selected shapes of a layer that have an area, or of all such."""
    chosen = sorted(layer.selected_data) or range(len(layer.data))
    return [i for i in chosen if layer.shape_type[i] in AREAS]


def _is_hole(layer: Shapes, index: int) -> bool:
    features = layer.features
    return HOLE in features and bool(features[HOLE].iloc[index])


def _is_ignored(layer: Shapes, index: int) -> bool:
    features = layer.features
    return CLASS in features and features[CLASS].iloc[index] == IGNORE


def world_outline(layer: Shapes, index: int) -> NDArray[np.float64]:
    """Outline of a shape in the world, (n, 2) as (y, x)."""
    return _in_world(layer, _outline(layer.data[index], layer.shape_type[index]))


def world_outlines(layer: Shapes) -> list[NDArray[np.float64] | None]:
    """Outline of each shape in the world, (n, 2) as (y, x); None for lines."""
    return [
        _in_world(layer, _outline(vertices, kind)) if kind in AREAS else None
        for vertices, kind in zip(layer.data, layer.shape_type, strict=True)
    ]


def _outline(vertices: NDArray[np.floating], kind: str) -> NDArray[np.float64]:
    points = np.asarray(vertices, dtype=np.float64)[:, -2:]
    if kind != "ellipse":
        return points
    centre = points.mean(axis=0)
    along, across = (points[1] - points[0]) / 2, (points[2] - points[1]) / 2
    angle = np.linspace(0, 2 * np.pi, _ELLIPSE_POINTS, endpoint=False)[:, None]
    return np.asarray(centre + np.cos(angle) * along + np.sin(angle) * across)


def _in_world(layer: Shapes, points: NDArray[np.float64]) -> NDArray[np.float64]:
    fill = (0.0,) * (layer.ndim - 2)
    return moved_all(points, lambda place: layer.data_to_world((*fill, *place)))


def moved_all(
    points: NDArray[np.floating], move: Callable[[tuple[float, float]], Sequence[float]]
) -> NDArray[np.float64]:
    """Return where an affine map takes points, ``(n, 2)``.

    Three are enough to know it by; napari maps one at a time, which takes 50 us for each.

    Parameters
    ----------
    points
        Any number of them.
    move
        Takes one; the last two numbers of its answer count.
    """
    origin, down, across = (
        np.asarray(move(place), dtype=np.float64)[-2:]
        for place in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))
    )
    return np.asarray(points @ np.stack([down - origin, across - origin]) + origin)
