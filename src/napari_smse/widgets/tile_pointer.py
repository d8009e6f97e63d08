"""Points at places of scored slides, by clicking or by moving the mouse."""

from __future__ import annotations

import napari
import numpy as np
from napari.layers import Image
from qtpy.QtCore import QObject, QTimer, Signal

from napari_smse.widgets.slide_layers import world_to_level0
from napari_smse.widgets.tile_picker import TilePicker
from napari_smse.workflows.scored_slide import TileOnSlide

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

    def leave(self) -> None:
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
