"""Where each slide was looked at last."""

from __future__ import annotations

import weakref
from typing import Final

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer

_MARGIN: Final = 0.95
"""Of the canvas that a slide fills when all of it is seen."""


class CameraViews:
    """Remembers centre and zoom of the camera for each slide.

    Parameters
    ----------
    viewer
        Whose camera it is; it is not kept alive.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = weakref.ref(viewer)
        self._views: dict[str, tuple[tuple[float, ...], float]] = {}

    def keep(self, slide: str) -> None:
        """Remember where a slide is looked at now."""
        if (viewer := self._viewer()) is not None:
            camera = viewer.scene.camera
            self._views[slide] = camera.center, camera.zoom

    def bring(self, slide: str, layer: Layer) -> None:
        """Look at a slide as it was looked at last, the first time at all of it.

        Parameters
        ----------
        slide
            By which name it was kept.
        layer
            The slide's.
        """
        viewer = self._viewer()
        if viewer is None:
            return
        camera = viewer.scene.camera
        known = self._views.get(slide)
        if known is not None:
            camera.center, camera.zoom = known
            return
        first, last = layer.extent.world[:, -2:]
        camera.center = (*camera.center[:-2], *(first + last) / 2)
        camera.zoom = _MARGIN * float((np.asarray(viewer.canvas.size) / (last - first)).min())
