"""Where each slide was looked at last."""

from __future__ import annotations

import weakref
from typing import Any, Final

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer
from numpy.typing import NDArray

View = tuple[tuple[float, ...], float]
"""Centre of napari's camera, in world units as (..., y, x), and px of the canvas per world unit."""

_MARGIN: Final = 0.95
"""Of the canvas that a slide fills when all of it is seen."""


class CameraViews:
    """Remembers centre and zoom of the camera for each slide.

    napari's Home fits all layers to the canvas, hidden slides, too; here, those that are seen.

    Parameters
    ----------
    viewer
        Whose camera it is; it is not kept alive.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = weakref.ref(viewer)
        self._views: dict[str, View] = {}
        viewer.events.reset_view.connect(self._on_reset_view)

    def view_of(self, slide: str) -> View | None:
        """Return where a slide was looked at last; None if it never was."""
        return self._views.get(slide)

    def remember(self, slide: str, view: View) -> None:
        """Have a slide be looked at there when it is brought next."""
        self._views[slide] = view

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
        known = self._views.get(slide)
        if known is not None:
            viewer.scene.camera.center, viewer.scene.camera.zoom = known
            return
        self._fit(layer.extent.world[:, -2:], viewer)

    def _on_reset_view(self, event: Any) -> None:
        """Fit what is seen, if napari fitted everything."""
        viewer = self._viewer()
        if viewer is None or viewer.dims.ndisplay != 2:
            return
        if all(layer.visible for layer in viewer.layers):
            return
        extents = [layer.extent.world[:, -2:] for layer in viewer.layers if layer.visible]
        # Layers without anything in them have no corners.
        seen = np.array([corners for corners in extents if np.isfinite(corners).all()])
        first, last = viewer.layers.extent.world[:, -2:]
        # napari counts half a px of each layer more, such as half a cell of a map.
        half = np.max([np.abs(layer.scale[-2:]) for layer in viewer.layers], axis=0) / 2
        off = np.abs(event.center[-2:] - (first + last) / 2)
        # Somebody may have asked for some layers alone.
        if not len(seen) or (off > half).any():
            return
        corners = np.array([seen[:, 0].min(axis=0), seen[:, 1].max(axis=0)])
        if (corners[1] > corners[0]).all():
            self._fit(corners, viewer)

    def _fit(self, corners: NDArray[np.float64], viewer: ViewerModel) -> None:
        camera, (first, last) = viewer.scene.camera, corners
        camera.center = (*camera.center[:-2], *(first + last) / 2)
        camera.zoom = _MARGIN * float((np.asarray(viewer.canvas.size) / (last - first)).min())
