"""What of a slide the viewer shows, told to a run so that it is scored first."""

from __future__ import annotations

from napari.layers import Image
from qtpy.QtCore import QObject, QTimer

from napari_smse.scoring import Viewport
from napari_smse.slides import Region

_EVERY_MS = 200


class ViewportWatch(QObject):
    """Tells a `Viewport` what is shown of a slide, a few times a second from `begin` to `end`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._layer: Image | None = None
        self._viewport = Viewport()
        self._timer = QTimer(self)
        self._timer.setInterval(_EVERY_MS)
        self._timer.timeout.connect(self._look)

    def begin(self, layer: Image, viewport: Viewport) -> None:
        """Follow what is shown of a slide's layer."""
        self._layer, self._viewport = layer, viewport
        self._look()
        self._timer.start()

    def end(self) -> None:
        """Follow nothing any longer."""
        self._timer.stop()
        self._layer = None

    def _look(self) -> None:
        if self._layer is not None:
            self._viewport.look_at(shown_region(self._layer))


def shown_region(layer: Image) -> Region | None:
    """Return what the canvas shows of a slide's layer, level-0 px; None if it shows nothing."""
    # Rows and columns of the level that napari shows. While a layer is hidden, what was shown last.
    (top, left), (bottom, right) = layer.corner_pixels[:, -2:]
    down, along = layer.downsample_factors[layer.data_level][-2:]
    width, height = round((right - left + 1) * along), round((bottom - top + 1) * down)
    if width <= 1 or height <= 1:
        return None
    return Region(round(left * along), round(top * down), width, height)
