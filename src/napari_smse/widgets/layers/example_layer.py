"""What is looked for on a slide, as outlines that can be drawn, changed and removed."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import numpy as np
import shapely
from napari.components import ViewerModel
from napari.layers import Layer, Shapes
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal
from shapely.geometry.base import BaseGeometry

from napari_smse.errors import QueryError
from napari_smse.slides import Region, Slide
from napari_smse.widgets.click_tool import DrawingTool
from napari_smse.widgets.layers.regions import AREAS, world_outline
from napari_smse.widgets.layers.screen_width import ScreenWidth
from napari_smse.widgets.layers.tile_marker import MARKER_NAME
from napari_smse.widgets.slide_layers import (
    LAYER_KEY,
    LayerKind,
    LayerMark,
    is_of_kind,
    layers_of_kind,
    level0_to_world,
    world_to_level0,
)

_DONE = ("added", "removed", "changed")
_WIDTH_PX: Final = 2.5
_INSET = 0.1


class Side(StrEnum):
    """Which tiles are meant."""

    LIKE = "Positive examples"
    UNLIKE = "Negative examples"


_COLOURS = {Side.LIKE: "#00b386", Side.UNLIKE: "#e53935"}


class ExampleLayer(QObject):
    """The examples of one side on one slide: all that is drawn in a Shapes layer of its own.

    The layer is made when the first example comes, and used again by a dock that is opened later.

    Parameters
    ----------
    viewer
        Where the layer goes.
    slide_layer, slide
        The slide they lie on.
    side
        Whether they are meant.
    """

    changed = Signal()
    """An example was drawn, moved or removed."""

    def __init__(
        self,
        viewer: ViewerModel,
        slide_layer: Layer,
        slide: Slide,
        side: Side,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._slide_layer, self._slide, self._side = viewer, slide_layer, slide, side
        self.layer: Shapes | None = None
        self._viewer.layers.events.removed.connect(self._on_removed)
        slide_layer.events.scale.connect(self._follow_scale)
        for layer in layers_of_kind(viewer, LayerKind.EXAMPLES, slide.quick_hash):
            if isinstance(layer, Shapes) and layer.metadata[LAYER_KEY].detail is side:
                self._take(layer)

    @property
    def areas(self) -> list[BaseGeometry]:
        """What is drawn, (x, y) in level-0 px; lines are left out."""
        if self.layer is None:
            return []
        outlines = [
            world_to_level0(self._slide_layer, world_outline(self.layer, index))
            for index, kind in enumerate(self.layer.shape_type)
            if kind in AREAS
        ]
        found = [shapely.make_valid(shapely.Polygon(one)) for one in outlines if len(one) >= 3]
        return [area for area in found if area.area > 0]

    def draw(self, mode: str) -> None:
        """Let the user draw: a mode of napari's Shapes layer."""
        layer = self._there()
        self._viewer.layers.selection.active = layer
        layer.selected_data = set()
        layer.mode = mode

    def add(self, areas: Sequence[BaseGeometry]) -> None:
        """Add areas, level-0 px."""
        parts = shapely.get_parts(list(areas))
        polygons = [part for part in parts if part.geom_type == "Polygon"]
        rings = [np.asarray(part.exterior.coords)[:-1, :2] for part in polygons]
        layer = self._there()
        world = [level0_to_world(self._slide_layer, ring) for ring in rings]
        outlines = [np.array([layer.world_to_data(point) for point in ring]) for ring in world]
        layer.add(outlines, shape_type="polygon")
        layer.selected_data = set()

    def add_tile(self, tile: Region) -> None:
        """Add a tile: a box a little smaller than it, in which no other tile's middle lies."""
        x, y = tile.width * _INSET, tile.height * _INSET
        self.add([shapely.box(tile.x + x, tile.y + y, tile.right - x, tile.bottom - y)])

    def clear(self) -> None:
        """Remove all examples."""
        if self.layer is not None and len(self.layer.data):
            self.layer.mode = "pan_zoom"
            self.layer.selected_data = set(range(len(self.layer.data)))
            self.layer.remove_selected()

    def release(self) -> None:
        """Stop listening; what is drawn stays."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._slide_layer.events.scale.disconnect(self._follow_scale)
        self._let_go()

    # -- inside ----------------------------------------------------------------------

    def _there(self) -> Shapes:
        if self.layer is None:
            self._take(self._made())
            self._viewer.layers.append(self.layer)
        assert self.layer is not None
        return self.layer

    def _made(self) -> Shapes:
        return Shapes(
            ndim=2,
            name=f"{self._side} · {self._slide.name}",
            scale=self._slide_layer.scale[-2:],
            translate=self._slide_layer.translate[-2:],
            units=self._slide_layer.units[-2:],
            axis_labels=self._slide_layer.axis_labels[-2:],
            edge_color=_COLOURS[self._side],
            face_color="transparent",
            opacity=1,
            metadata=LayerMark(LayerKind.EXAMPLES, self._slide.quick_hash, self._side).metadata,
        )

    def _take(self, layer: Shapes) -> None:
        self.layer = layer
        self._tool = DrawingTool(self._viewer, layer)
        layer.events.data.connect(self._on_changed)
        self._width = ScreenWidth(self._viewer, layer, _WIDTH_PX, self)

    def _let_go(self) -> None:
        if self.layer is not None:
            self.layer.events.data.disconnect(self._on_changed)
            self._width.release()
            self._tool.release()
            self.layer = None

    def _on_changed(self, event: object) -> None:
        action = str(getattr(getattr(event, "action", ""), "value", ""))
        if action == "added":
            # Not at once, as napari is still busy with the shape.
            QTimer.singleShot(0, self._end_drawing)
        if action in _DONE:
            self.changed.emit()

    def _end_drawing(self) -> None:
        """Let the mouse move the view again: one press of Draw is for one area."""
        if self.layer is not None and self.layer.mode.startswith("add_"):
            self.layer.mode = "pan_zoom"
            self.layer.selected_data = set()

    def _on_removed(self, event: object) -> None:
        if self.layer is not None and getattr(event, "value", None) is self.layer:
            self._let_go()
            self.changed.emit()

    def _follow_scale(self, _event: object = None) -> None:
        """The slide has another um/px; in level-0 px the examples stay the same."""
        if self.layer is not None:
            self.layer.scale = self._slide_layer.scale[-2:]
            self.layer.translate = self._slide_layer.translate[-2:]


def drawn_elsewhere(viewer: ViewerModel, slide_layer: Layer) -> list[BaseGeometry]:
    """Return what the user selected or drew in Shapes layers that are not of examples.

    The selected shapes; where none is, all shapes of the selected layers.

    Raises
    ------
    QueryError
        There are none.
    """
    layers = [
        layer
        for layer in viewer.layers.selection
        if isinstance(layer, Shapes)
        and not is_of_kind(layer, LayerKind.EXAMPLES)
        and layer.name != MARKER_NAME
    ]
    outlines = [one for layer in layers for one in _outlines(layer) if len(one) >= 3]
    polygons = [shapely.Polygon(world_to_level0(slide_layer, one)) for one in outlines]
    areas = [area for area in map(shapely.make_valid, polygons) if area.area > 0]
    if not areas:
        raise QueryError(
            "No shapes are chosen: click a Shapes layer with regions in napari's layer list, such "
            "as your annotations, and select the shapes to take; or press Draw."
        )
    return areas


def _outlines(layer: Shapes) -> list[NDArray[np.float64]]:
    chosen = sorted(layer.selected_data) or range(len(layer.data))
    return [world_outline(layer, i) for i in chosen if layer.shape_type[i] in AREAS]
