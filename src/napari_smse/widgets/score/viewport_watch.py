"""What of a slide the viewer shows, told to a run so that it is scored first."""

from __future__ import annotations

import shapely
from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtCore import QObject, QTimer

from napari_smse.scoring import Viewport
from napari_smse.slides import Region
from napari_smse.widgets.layers.regions import visible_region

_EVERY_MS = 200


class ViewportWatch(QObject):
    """Tells a `Viewport` what is shown of a slide, a few times a second from `begin` to `end`.

    Parameters
    ----------
    viewer
        The viewer; nothing is told of a slide that it does not hold any longer.
    parent
        Dropped with it.
    """

    def __init__(self, viewer: Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layer: Image | None = None
        self._viewport = Viewport()
        self._timer = QTimer(self)
        self._timer.setInterval(_EVERY_MS)
        self._timer.timeout.connect(self._refresh)

    def begin(self, layer: Image, viewport: Viewport) -> None:
        """Follow what is shown of a slide's layer."""
        self._layer, self._viewport = layer, viewport
        self._refresh()
        self._timer.start()

    def end(self) -> None:
        """Follow nothing any longer."""
        self._timer.stop()
        self._layer = None

    def _refresh(self) -> None:
        if self._layer in self._viewer.layers:
            self._viewport.show(shown_region(self._viewer, self._layer))


def shown_region(viewer: Viewer, layer: Image) -> Region | None:
    """Return what the canvas shows of a slide's layer, level-0 px; None if it shows nothing."""
    height, width = layer.data[0].shape[:2]
    shown = visible_region(viewer, layer).intersection(shapely.box(0, 0, width, height))
    if not shown.area:
        return None
    left, top, right, bottom = (round(edge) for edge in shown.bounds)
    return Region(left, top, max(1, right - left), max(1, bottom - top))
