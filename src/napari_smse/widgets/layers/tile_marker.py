"""Show a tile: outline it, and fly there if asked to."""

from __future__ import annotations

from functools import partial
from typing import Final
from weakref import ReferenceType, WeakKeyDictionary, ref

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer
from numpy.typing import NDArray

from napari_smse.errors import SmseError
from napari_smse.slides import Region
from napari_smse.widgets.layers.screen_width import ZoomWatch
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import (
    LAYER_KEY,
    LayerKind,
    LayerMark,
    is_slide_layer,
    layers_of_kind,
    level0_to_world,
    slide_of,
)

MARKER_NAME: Final = "Chosen tile"
_TILES_ACROSS = 5
"""How many tiles fit across the canvas after the flight."""
_PX: Final = 40
_LINE_ON_SCREEN: Final = 2.0
"""Px of the screen: of a thinner line, parts are left out where a small tile is drawn."""
_YELLOW: Final = (255, 212, 0, 255)
_watches: WeakKeyDictionary[ViewerModel, ZoomWatch] = WeakKeyDictionary()


def fly_to(viewer: ViewerModel, slide_layer: Layer, region: Region) -> None:
    """Bring a slide into view, move the camera to a region of it, and outline that.

    Parameters
    ----------
    viewer, slide_layer
        Where the slide is.
    region
        Level-0 px.
    """
    if isinstance(slide_layer, Image) and is_slide_layer(slide_layer):
        session_of(viewer).choose(slide_layer)
    (top, left), (bottom, right) = edges = _edges(slide_layer, region)
    camera = viewer.scene.camera
    camera.center = (*camera.center[:-2], (top + bottom) / 2, (left + right) / 2)
    camera.zoom = min(viewer.canvas.size) / (_TILES_ACROSS * (bottom - top))
    _outline(viewer, slide_layer, edges)


def outline(viewer: ViewerModel, slide_layer: Layer, region: Region) -> None:
    """Outline a region of a slide, and leave the view where it is.

    Parameters
    ----------
    viewer, slide_layer
        Where the slide is.
    region
        Level-0 px.
    """
    _outline(viewer, slide_layer, _edges(slide_layer, region))


def marked(viewer: ViewerModel) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return top left and bottom right of the outlined tile in the world, (y, x); None if none."""
    marker = _marker_in(viewer)
    if marker is None:
        return None
    scale = np.asarray(marker.scale[-2:])
    first = np.asarray(marker.translate[-2:]) - scale / 2
    return first, first + scale * _PX


def _edges(slide_layer: Layer, region: Region) -> NDArray[np.float64]:
    """Return top left and bottom right of a region in the world, (y, x)."""
    corners = [
        [region.x, region.y],
        [region.x + region.width, region.y + region.height],
    ]
    return level0_to_world(slide_layer, np.array(corners))


def _outline(viewer: ViewerModel, slide_layer: Layer, edges: NDArray[np.float64]) -> None:
    """Lay the outline around a box, its corners (y, x) in the world.

    It is a picture that is moved and stretched: making a shape has napari compile its
    triangulation, seconds on a new machine, and removing a layer takes a third of a second.
    """
    scale = (edges[1] - edges[0]) / _PX
    place = {"scale": scale, "translate": edges[0] + scale / 2}
    of_slide = _hash_of(slide_layer)
    frame = _frame(_line_px(viewer, edges))
    marker = _marker_in(viewer)
    if marker is not None and marker.metadata[LAYER_KEY].slide == of_slide:
        marker.scale, marker.translate = place["scale"], place["translate"]
        if not np.array_equal(marker.data, frame):
            marker.data = frame
        marker.visible = True
        return
    if marker is not None:
        viewer.layers.remove(marker)
    active = viewer.layers.selection.active
    viewer.add_layer(
        Image(
            frame,
            rgb=True,
            name=MARKER_NAME,
            interpolation2d="nearest",
            units=slide_layer.units[-2:],
            axis_labels=slide_layer.axis_labels[-2:],
            metadata=LayerMark(LayerKind.OUTLINE, of_slide).metadata,
            **place,
        )
    )
    viewer.layers.selection.active = active
    if viewer not in _watches:
        _watches[viewer] = ZoomWatch(viewer, partial(_fit_line, ref(viewer)))


def _fit_line(viewer: ReferenceType[ViewerModel]) -> None:
    """Draw the outline as wide as it is to be at the present zoom."""
    shown = viewer()
    edges, marker = (None, None) if shown is None else (marked(shown), _marker_in(shown))
    if shown is None or edges is None or marker is None:
        return
    frame = _frame(_line_px(shown, np.stack(edges)))
    if not np.array_equal(marker.data, frame):
        marker.data = frame


def _marker_in(viewer: ViewerModel) -> Image | None:
    layers = layers_of_kind(viewer, LayerKind.OUTLINE)
    return next((layer for layer in layers if isinstance(layer, Image)), None)


def _hash_of(slide_layer: Layer) -> str | None:
    try:
        return slide_of(slide_layer).quick_hash
    except SmseError:
        return None


def _line_px(viewer: ViewerModel, edges: NDArray[np.float64]) -> int:
    """How wide the line of the frame is, in its own px, to be seen at the present zoom."""
    on_screen = float((edges[1] - edges[0]).min()) * float(viewer.scene.camera.zoom)
    wanted = _LINE_ON_SCREEN * _PX / max(on_screen, 1e-9)
    return int(np.clip(np.ceil(wanted), 1, _PX // 4))


def _frame(line: int) -> NDArray[np.uint8]:
    """A square outline of some px, transparent inside."""
    pixels = np.zeros((_PX, _PX, 4), dtype=np.uint8)
    pixels[:] = _YELLOW
    pixels[line:-line, line:-line] = 0
    return pixels
