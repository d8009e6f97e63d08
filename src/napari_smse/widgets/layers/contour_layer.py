"""Outlines of where a class is probable, for a view in which nuclei must stay readable."""

from __future__ import annotations

from typing import Final

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer, Vectors
from numpy.typing import NDArray
from qtpy.QtCore import QObject
from skimage import measure

from napari_smse.scoring import MapName
from napari_smse.slides import Slide
from napari_smse.widgets.layers.coordinates import place, placement
from napari_smse.widgets.layers.heat_map_layers import HeatMapLayers
from napari_smse.widgets.layers.screen_width import ScreenWidth
from napari_smse.widgets.slide_layers import LayerKind, LayerMark, layers_of_kind

_WIDTH_PX: Final = 2.0
_TOLERANCE_PX: Final = 0.25
"""By so much of a map's pixel an outline may be off, so that it has few corners."""


class ContourLayer(QObject):
    """Draws around the places of a map whose probability is at least a threshold.

    Parameters
    ----------
    viewer
        Where the layer goes.
    """

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._width: ScreenWidth | None = None

    def show(
        self,
        slide_layer: Layer,
        slide: Slide,
        maps: HeatMapLayers,
        name: MapName,
        threshold: float,
    ) -> Vectors:
        """Draw, in place of what was drawn on the slide before.

        Parameters
        ----------
        slide_layer, slide
            The slide.
        maps, name
            Which of its maps.
        threshold
            Probability from which a place is inside.
        """
        raster = maps.raster(name)
        lines = contour_lines(raster.draw(maps.maps.heat_map(name), smooth=True), threshold)
        placed = placement(raster.outline, slide_layer, raster.parts)
        colour = np.array([*maps.colours[name.class_name].colour, 255]) / 255
        layer = self.layer_of(slide)
        if layer is not None:
            layer.data = lines
            place(layer, placed)
        else:
            layer = Vectors(
                lines,
                name=f"Contours · {slide.name}",
                vector_style="line",
                edge_color=colour,
                blending="translucent",
                metadata=LayerMark(LayerKind.CONTOURS, slide.quick_hash).metadata,
                **placed,
            )
            active = self._viewer.layers.selection.active
            self._viewer.add_layer(layer)
            self._viewer.layers.selection.active = active
        layer.edge_color = colour
        self._follow_zoom(layer)
        return layer

    def hide(self, slide: Slide) -> None:
        """Remove what was drawn on a slide."""
        layer = self.layer_of(slide)
        if layer is not None:
            self.release()
            self._viewer.layers.remove(layer)

    def layer_of(self, slide: Slide) -> Vectors | None:
        """Return the contours of a slide, if they are drawn."""
        layers = layers_of_kind(self._viewer, LayerKind.CONTOURS, slide.quick_hash)
        return next((layer for layer in layers if isinstance(layer, Vectors)), None)

    def release(self) -> None:
        """Follow the zoom no more; what is drawn stays."""
        if self._width is not None:
            self._width.release()
            self._width = None

    def _follow_zoom(self, layer: Vectors) -> None:
        self.release()
        self._width = ScreenWidth(self._viewer, layer, _WIDTH_PX, self)


def contour_lines(values: NDArray[np.floating], threshold: float) -> NDArray[np.float32]:
    """Return the pieces of the outlines of where values reach a threshold.

    Parameters
    ----------
    values
        ``(rows, columns)``; where one is NaN it is outside.
    threshold
        From which a pixel is inside.

    Returns
    -------
    ``(n, 2, 2)``: start and direction of each piece, (row, column), as napari's vectors have it.
    """
    framed = np.pad(np.nan_to_num(values, nan=-1.0), 1, constant_values=-1.0)
    pieces = [np.empty((0, 2, 2))]
    for line in measure.find_contours(framed, threshold):
        points = measure.approximate_polygon(line, tolerance=_TOLERANCE_PX) - 1
        pieces.append(np.stack([points[:-1], np.diff(points, axis=0)], axis=1))
    return np.concatenate(pieces).astype(np.float32)
