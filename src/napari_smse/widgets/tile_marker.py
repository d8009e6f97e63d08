"""Show a tile: fly there and outline it."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer, Shapes

from napari_smse.slides import Region
from napari_smse.widgets.regions import NO_REGION_KEY
from napari_smse.widgets.slide_layers import level0_to_world

MARKER_NAME = "Chosen tile"
_TILES_ACROSS = 5
"""How many tiles fit across the canvas after the flight."""


def fly_to(viewer: ViewerModel, slide_layer: Layer, region: Region) -> None:
    """Move the camera to a region of the slide and outline it."""
    corners = np.array(
        [
            [region.x, region.y],
            [region.x + region.width, region.y + region.height],
        ]
    )
    (top, left), (bottom, right) = level0_to_world(slide_layer, corners)
    camera = viewer.scene.camera
    camera.center = (*camera.center[:-2], (top + bottom) / 2, (left + right) / 2)
    camera.zoom = min(viewer.canvas.size) / (_TILES_ACROSS * (bottom - top))
    outline = np.array([[top, left], [top, right], [bottom, right], [bottom, left]])
    _outline(viewer, slide_layer, outline, width=(bottom - top) / 40)


def _outline(viewer: ViewerModel, slide_layer: Layer, outline: np.ndarray, *, width: float) -> None:
    active = viewer.layers.selection.active
    if MARKER_NAME in viewer.layers:
        viewer.layers.remove(MARKER_NAME)
    marker = Shapes(
        [outline],
        shape_type="polygon",
        name=MARKER_NAME,
        edge_width=width,
        edge_color="#ffd400",
        face_color="transparent",
        units=slide_layer.units[-2:],
        axis_labels=slide_layer.axis_labels[-2:],
        metadata={NO_REGION_KEY: True},
    )
    viewer.add_layer(marker)
    viewer.layers.selection.active = active
