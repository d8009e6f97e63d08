"""A round brush on the annotations of a slide: a stroke adds an area to regions, or erases one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import shapely
from app_model.types import KeyCode
from napari.components import ViewerModel
from napari.layers import Layer, Shapes
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal
from shapely import LineString, Point
from shapely.geometry.base import BaseGeometry

from napari_smse.palette import Colour
from napari_smse.widgets.click_tool import give_back_clicks, take_clicks
from napari_smse.widgets.key_bindings import KeyBindings
from napari_smse.widgets.layers.annotation_editor import AnnotationEditor
from napari_smse.widgets.layers.annotation_layer import AnnotationLayer
from napari_smse.widgets.layers.annotation_shapes import FILL, rgba, rings_of
from napari_smse.widgets.layers.regions import moved_all
from napari_smse.widgets.slide_layers import (
    LayerKind,
    LayerMark,
    level0_to_world,
    world_to_level0,
)

BRUSH_UM: Final = 100
"""How wide a brush is at first, um."""

_QUARTER: Final = 12
_SMOOTH: Final = 0.02
"""Outlines may be off by so much of the brush's radius, to have few corners."""

_SHOWN_S: Final = 0.025
"""So long at least from one look of the stroke to the next: the mouse tells more than one sees."""

_ERASED: Final = (0, 0, 0)
_LEFT: Final = 1


class Brush(QObject):
    """While it is on, dragging paints regions of the chosen class; with Alt it erases.

    The stroke is shown while it is drawn, and becomes one step of the annotations when the button
    is released. Space held down lets dragging move the view; the wheel zooms all the time.

    Parameters
    ----------
    viewer
        Whose canvas is painted on.
    drawing, editor
        The annotations of a slide, and what changes them.
    slide_layer
        The slide they lie on.
    """

    switched_off = Signal()
    """Another tool took the clicks, or another mode of the layer was chosen."""

    missed = Signal()
    """A stroke erased nothing."""

    def __init__(
        self,
        viewer: ViewerModel,
        drawing: AnnotationLayer,
        editor: AnnotationEditor,
        slide_layer: Layer,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._drawing, self._editor = viewer, drawing, editor
        self._slide_layer = slide_layer
        self._erases, self._on = False, False
        self._keys = KeyBindings()
        self._stroke: Shapes | None = None
        self._width = float(BRUSH_UM)
        self._show_next = 0.0

    @property
    def is_on(self) -> bool:
        """Whether dragging paints or erases."""
        return self._on

    def set_width(self, um: float) -> None:
        """Make strokes so wide, um."""
        self._width = um
        if self._on:
            self._drawing.layer.cursor_size = um

    def switch_on(self, *, erases: bool) -> None:
        """Let dragging paint, or erase."""
        self._erases = erases
        if self._on:
            return
        self._drawing.draw("pan_zoom")
        self._on = True
        take_clicks(self._viewer, self)
        layer = self._drawing.layer
        self._stroke = self._make_stroke()
        self._viewer.layers.append(self._stroke)
        self._viewer.layers.selection.active = layer
        layer.mouse_drag_callbacks.append(self._drag)
        layer.events.mode.connect(self._on_mode)
        self._viewer.layers.events.removed.connect(self._on_removed)
        self._keys.take(layer, {KeyCode.Space: self._hold_to_move()})
        self._hold(True)

    def switch_off(self) -> None:
        """Let dragging move the view again."""
        if not self._on:
            return
        self._on = False
        give_back_clicks(self._viewer, self)
        layer = self._drawing.layer
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        layer.events.mode.disconnect(self._on_mode)
        layer.mouse_drag_callbacks.remove(self._drag)
        self._keys.give_back()
        if layer.mode == "pan_zoom":
            self._hold(False)
        stroke, self._stroke = self._stroke, None
        if stroke in self._viewer.layers:
            self._viewer.layers.remove(stroke)

    def let_go(self) -> None:
        """Switch off, as another tool took the clicks."""
        self.switch_off()
        self.switched_off.emit()

    # -- the mouse -------------------------------------------------------------------

    def _hold(self, holds: bool) -> None:
        """Have the mouse draw with a round cursor, or move the view."""
        layer = self._drawing.layer
        layer.mouse_pan = not holds
        layer.cursor_size = self._width if holds else 1
        layer.cursor = "circle" if holds else "standard"

    def _hold_to_move(self) -> Callable[[object], Iterator[None]]:
        # A function, as napari asks what it binds for its name.
        def hold_to_move_the_view(_layer: object) -> Iterator[None]:
            self._hold(False)
            yield
            if self._on:
                self._hold(True)

        return hold_to_move_the_view

    def _drag(self, layer: Shapes, event: Any) -> Iterator[None]:
        if layer.mouse_pan or event.button != _LEFT:
            return
        erases = self._erases or "Alt" in event.modifiers
        radius = self._width / 2 / self._drawing.slide.mpp
        last = self._place(event)
        area: BaseGeometry = Point(last).buffer(radius, quad_segs=_QUARTER)
        self._show(area, erases)
        yield
        while event.type == "mouse_move":
            here = self._place(event)
            area, last = _painted(area, last, here, radius), here
            self._show(area, erases)
            yield
        # napari leaves out moves that follow each other fast, the last one before this among them.
        area = _painted(area, last, self._place(event), radius)
        self._show(None, erases)
        if not erases:
            self._editor.paint(area)
        elif not self._editor.erase(area):
            self.missed.emit()

    def _place(self, event: Any) -> tuple[float, float]:
        ((x, y),) = world_to_level0(self._slide_layer, np.array([event.position[-2:]]))
        return float(x), float(y)

    # -- the stroke ------------------------------------------------------------------

    def _make_stroke(self) -> Shapes:
        layer = self._drawing.layer
        return Shapes(
            ndim=2,
            name="Brush",
            scale=layer.scale,
            translate=layer.translate,
            units=layer.units,
            axis_labels=layer.axis_labels,
            opacity=1,
            metadata=LayerMark(LayerKind.STROKE, self._drawing.slide.quick_hash).metadata,
        )

    def _show(self, area: BaseGeometry | None, erases: bool) -> None:
        stroke = self._stroke
        begun = time.monotonic()
        if stroke is None or (area is not None and begun < self._show_next):
            return
        self._show_in(stroke, area, erases)
        # At most every other moment goes into showing, so that the stroke never lags behind.
        ended = time.monotonic()
        self._show_next = ended + max(_SHOWN_S, ended - begun)

    def _show_in(self, stroke: Shapes, area: BaseGeometry | None, erases: bool) -> None:
        rings = [] if area is None else [self._outline(ring) for ring, _ in rings_of(area)]
        if not rings:
            stroke.data = []
            return
        colour = rgba(_ERASED if erases else self._colour)
        stroke.current_edge_color = colour
        stroke.current_face_color = (*colour[:3], FILL)
        stroke.current_edge_width = self._drawing.layer.current_edge_width
        stroke.data = [(ring, "polygon") for ring in rings]

    @property
    def _colour(self) -> Colour | None:
        return self._drawing.colours.get(self._drawing.class_name)

    def _outline(self, ring: NDArray[np.float64]) -> NDArray[np.float64]:
        world = level0_to_world(self._slide_layer, ring)
        return moved_all(world, self._drawing.layer.world_to_data)

    # -- others ----------------------------------------------------------------------

    def _on_mode(self, _event: object = None) -> None:
        if self._on and self._drawing.layer.mode != "pan_zoom":
            self.let_go()

    def _on_removed(self, event: Any) -> None:
        if event.value in (self._drawing.layer, self._stroke):
            self.let_go()


def _painted(
    area: BaseGeometry, last: tuple[float, float], here: tuple[float, float], radius: float
) -> BaseGeometry:
    """Return an area with what a brush of this radius paints from one place to the next."""
    if here == last:
        return area
    step = LineString([last, here]).buffer(radius, quad_segs=_QUARTER)
    return shapely.union(area, step).simplify(_SMOOTH * radius)
