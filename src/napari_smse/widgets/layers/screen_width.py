"""Lines as wide on the screen however far one zooms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from napari.components import ViewerModel
from napari.layers import Shapes, Vectors
from qtpy.QtCore import QObject, QTimer

_SETTLED_MS: Final = 80
"""So long the zoom must rest: making wide lines anew takes a moment, and a wheel turns on."""


class ZoomWatch(QObject):
    """Calls something when the zoom has changed and rests again.

    Parameters
    ----------
    viewer
        Whose zoom it is.
    call
        What to call.
    """

    def __init__(
        self, viewer: ViewerModel, call: Callable[[], object], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._camera = viewer.scene.camera
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(call)
        self._camera.events.zoom.connect(self._wait)

    def release(self) -> None:
        """Watch no more."""
        self._timer.stop()
        self._camera.events.zoom.disconnect(self._wait)

    def _wait(self, _event: object = None) -> None:
        self._timer.start(_SETTLED_MS)


class ScreenWidth(QObject):
    """Keeps the lines of a layer as wide on the screen, whatever the zoom.

    napari measures widths in the layer's own pixels.

    Parameters
    ----------
    viewer
        Whose zoom it is.
    layer
        With lines.
    width_px
        Their width, px of the screen.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        layer: Shapes | Vectors,
        width_px: float,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._layer, self._width_px = viewer, layer, width_px
        self._watch = ZoomWatch(viewer, self.apply, self)
        self.apply()

    @property
    def width(self) -> float:
        """The width at this zoom, px of the layer."""
        zoom = max(float(self._viewer.scene.camera.zoom), 1e-9)
        return self._width_px / zoom / max(float(self._layer.scale[-1]), 1e-9)

    def apply(self) -> None:
        """Set the width of all lines now, also of those that were drawn since."""
        width, layer = self.width, self._layer
        if isinstance(layer, Vectors):
            layer.edge_width = width
            return
        layer.current_edge_width = width
        if len(layer.data):
            layer.edge_width = [width] * len(layer.data)

    def release(self) -> None:
        """Follow the zoom no more."""
        self._watch.release()
