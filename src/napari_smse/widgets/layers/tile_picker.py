"""Points at scored tiles, by clicking or by moving the mouse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import napari
import numpy as np
from napari.layers import Image
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal

from napari_smse.slides import Region
from napari_smse.widgets.click_tool import give_back_clicks, take_clicks
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import slide_of, world_to_level0
from napari_smse.workflows.scored_slide import Run, TileOnSlide

_STILL_PX = 5.0


class TilePicker(QObject):
    """While it is on, a click on the slide picks the tile there; dragging still moves the view.

    Parameters
    ----------
    viewer
        Whose canvas is clicked.
    """

    picked = Signal(object)
    """The `TileOnSlide` that was clicked."""

    missed = Signal(str)
    """There is no scored tile there; the text says what to do."""

    switched_off = Signal()
    """Another tool took the clicks: see `napari_smse.widgets.click_tool`."""

    def __init__(self, viewer: napari.Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._session = session_of(viewer)
        self._on = False

    def set_on(self, on: bool) -> None:
        """Begin or end picking."""
        if on == self._on:
            return
        self._on = on
        callbacks = self._viewer.mouse_drag_callbacks
        if not on:
            callbacks.remove(self._watch)
            give_back_clicks(self._viewer, self)
            return
        callbacks.append(self._watch)
        take_clicks(self._viewer, self)
        # Otherwise a click could draw a shape, too.
        layer = self._session.slide_layer
        if layer is not None:
            self._viewer.layers.selection.active = layer

    def let_go(self) -> None:
        """End picking, as another tool took the clicks."""
        self.set_on(False)
        self.switched_off.emit()

    def pick(self, world: tuple[float, ...]) -> None:
        """Pick the tile of the slide in view at a world point (y, x)."""
        layer = self._session.slide_layer
        tile = None if layer is None else tile_at(layer, self._session.run_of(layer), world)
        if tile is not None:
            self.picked.emit(tile)
            return
        self.missed.emit("There is no scored tile: score the slide first (SMSE: Score slide).")

    def _watch(self, _viewer: object, event: Any) -> Iterator[None]:
        start = np.asarray(event.pos)
        yield
        moved = False
        while event.type == "mouse_move":
            moved |= _is_away(event, start)
            yield
        # napari leaves out moves that follow each other fast, all of a short drag even.
        if not (moved or _is_away(event, start)):
            self.pick(event.position)


def _is_away(event: Any, start: NDArray[np.float64]) -> bool:
    return bool(np.linalg.norm(np.asarray(event.pos) - start) > _STILL_PX)


def tile_at(layer: Image, run: Run | None, world: tuple[float, ...]) -> TileOnSlide | None:
    """Return the tile of a run on a slide at a world point, of the finest scale; or None."""
    if run is None:
        return None
    ((x, y),) = world_to_level0(layer, np.array([world[-2:]]))
    for tiles in sorted(run.plan.scales, key=lambda one: one.grid.spec.mpp):
        left, top = x - tiles.x, y - tiles.y
        inside = (left >= 0) & (left < tiles.width) & (top >= 0) & (top < tiles.height)
        rows = np.flatnonzero(inside)
        if len(rows):
            # Where tiles overlap, the one whose centre is nearest.
            off = np.hypot(left - tiles.width / 2, top - tiles.height / 2)[rows]
            region: Region = tiles.region(int(rows[off.argmin()]))
            return TileOnSlide(slide_of(layer), region, tiles.grid.spec.mpp)
    return None


_HOVER_MS = 80


class TilePointer(QObject):
    """A click may be on any slide; moving the mouse counts on the slide that is followed.

    Parameters
    ----------
    viewer
        Whose canvas it is.
    """

    clicked = Signal(object)
    """The `TileOnSlide` that was clicked."""

    hovered = Signal(float, float)
    """The level-0 point of the followed slide that the mouse rests on."""

    missed = Signal(str)
    """There is no scored tile there; the text says what to do."""

    switched_off = Signal()
    """Another tool took the clicks."""

    def __init__(self, viewer: napari.Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._hovers = False
        self._layer: Image | None = None
        self._where: tuple[float, ...] = ()
        self.picker = TilePicker(viewer, self)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_HOVER_MS)
        self._timer.timeout.connect(self._rest)
        self.picker.picked.connect(self._click)
        self.picker.missed.connect(self.missed)
        self.picker.switched_off.connect(self.switched_off)

    def follow(self, layer: Image | None) -> None:
        """Tell where the mouse is on this slide from now on."""
        self._layer = layer

    def set_clicking(self, on: bool) -> None:
        """Begin or end telling of clicks."""
        self.picker.set_on(on)

    def set_hovering(self, on: bool) -> None:
        """Begin or end telling where the mouse is."""
        if on == self._hovers:
            return
        self._hovers = on
        callbacks = self._viewer.mouse_move_callbacks
        if on:
            callbacks.append(self._move)
        else:
            self._timer.stop()
            callbacks.remove(self._move)

    def release(self) -> None:
        """Let go of the mouse."""
        self.set_clicking(False)
        self.set_hovering(False)

    def _click(self, tile: TileOnSlide) -> None:
        # What the mouse passed on its way to the click is no longer of interest.
        self._timer.stop()
        self.clicked.emit(tile)

    def _move(self, _viewer: object, event: object) -> None:
        self._where = tuple(event.position)
        if not self._timer.isActive():
            self._timer.start()

    def _rest(self) -> None:
        if self._layer is not None and self._layer in self._viewer.layers and self._where:
            ((x, y),) = world_to_level0(self._layer, np.array([self._where[-2:]]))
            self.hovered.emit(float(x), float(y))
