"""*Save layer*: what is drawn as GeoJSON, and heat maps as OME-Zarr.

napari hands a writer a layer's data and attributes, and so the slide is looked for in the viewer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import napari
import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer, Shapes

from napari_smse.annotations import AnnotationSet
from napari_smse.annotations import write_annotations as write_geojson
from napari_smse.errors import RegionError, RequestError, SlideNotFoundError
from napari_smse.reader import MAP_NAME_KEY
from napari_smse.results.exchange.map_stack import MapStack
from napari_smse.results.exchange.ome_zarr import write_map
from napari_smse.slides.exported_maps import is_exported_map
from napari_smse.widgets.layers.annotation_shapes import annotations_in, shape_features
from napari_smse.widgets.layers.heat_map_layers import shown_map
from napari_smse.widgets.layers.regions import CLASS, HOLE, IDENTITY
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import LayerKind, is_of_kind, layer_with, mark_of, slide_of


def write_annotations(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write the shapes drawn on a slide as GeoJSON that QuPath reads; napari calls it.

    Parameters
    ----------
    path
        File to write; what lies there is replaced.
    data, attributes
        Of a Shapes layer: annotations, or what else was drawn on the slide in view.

    Returns
    -------
    list of str
        The path.

    Raises
    ------
    SlideNotFoundError
        The slide that it is drawn on is not in the viewer.
    RegionError
        Nothing that has an area is drawn.
    OutputError
        The file cannot be written.
    """
    layer = Shapes(data, **attributes)
    slide_layer = _slide_under(layer)
    slide = slide_of(slide_layer)
    drawn = _drawn(layer, slide_layer)
    if not drawn.annotations:
        raise RegionError(
            f"Layer {layer.name!r} has no area on {slide.name}: draw a rectangle or polygon."
        )
    write_geojson(Path(path), drawn, bounds_origin=(slide.bounds.x, slide.bounds.y))
    return [path]


def write_heat_map(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a heat map as it is drawn as OME-Zarr; napari calls it.

    Parameters
    ----------
    path
        Folder to write; only another heat map is replaced.
    data, attributes
        Of an Image layer that shows a heat map.

    Returns
    -------
    list of str
        The path.

    Raises
    ------
    RequestError
        It shows something else.
    OutputError
        Something else lies there, the map cannot be written, or ome-zarr is not installed.
    """
    layer = Image(data, **attributes)
    folder = Path(path)
    write_map(folder, _stack(layer), overwrite=is_exported_map(folder))
    return [path]


def _viewer() -> ViewerModel | None:
    return napari.current_viewer()


def _slide_under(layer: Layer) -> Image:
    """Return the layer of the slide that something is drawn on: its own, else the one in view."""
    viewer, mark = _viewer(), mark_of(layer)
    if viewer is not None and mark is not None and mark.slide is not None:
        found = layer_with(viewer, mark.slide)
    else:
        found = None if viewer is None else session_of(viewer).slide_layer
    if found is None:
        raise SlideNotFoundError(
            f"Layer {layer.name!r} lies on no slide: open the slide that it was drawn on."
        )
    return found


def _drawn(layer: Shapes, slide_layer: Image) -> AnnotationSet:
    """Return what is drawn in a layer, with all that is known of it, level-0 px."""
    slide, viewer = slide_of(slide_layer), _viewer()
    annotated = is_of_kind(layer, LayerKind.ANNOTATIONS, slide.quick_hash)
    drawing = None if viewer is None else session_of(viewer).drawing_on(slide)
    if annotated and drawing is not None:
        return drawing.annotations()
    if not {CLASS, IDENTITY, HOLE} <= set(layer.features):
        layer.features = shape_features([("", str(uuid4()), False) for _ in layer.data])
    return annotations_in(layer, slide_layer, slide)


def _stack(layer: Image) -> MapStack:
    """Return the one map that a layer shows, as it lies on its slide."""
    if is_of_kind(layer, LayerKind.HEAT_MAP):
        name = shown_map(layer)
    else:
        name = layer.metadata.get(MAP_NAME_KEY)
    if name is None:
        raise RequestError(
            f"Layer {layer.name!r} is no heat map of a slide: save it in another format."
        )
    down, across = (float(side) for side in layer.scale[-2:])
    mpp, corner = _level0(layer, down)
    y, x = (np.asarray(layer.translate[-2:], dtype=np.float64) - corner) / mpp
    cell = across / mpp
    # napari places a layer by the middle of its first pixel.
    left, top = float(x) - (cell - 1) / 2, float(y) - (cell - 1) / 2
    values = np.asarray(layer.data, dtype=np.float32)[None]
    mark = mark_of(layer)
    slide = None if mark is None else mark.slide
    return MapStack(name.scale, (name.class_name,), values, left, top, cell, mpp, slide=slide)


def _level0(layer: Image, pixel: float) -> tuple[float, Any]:
    """Return um/px of the slide under a map, and where it lies; else as if pixels were its own."""
    viewer, mark = _viewer(), mark_of(layer)
    slide_layer = None
    if viewer is not None and mark is not None and mark.slide is not None:
        slide_layer = layer_with(viewer, mark.slide)
    if slide_layer is None:
        return pixel, 0.0
    return float(slide_layer.scale[-1]), np.asarray(slide_layer.translate[-2:])
