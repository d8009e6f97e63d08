"""How alike each place of a slide is to what is looked for, as a layer."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer
from napari.utils import Colormap
from numpy.typing import NDArray

from napari_smse.scoring import HeatMap
from napari_smse.slides import Slide
from napari_smse.widgets.layers.coordinates import place, placement
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import (
    COLOUR_MAPS,
    LayerKind,
    LayerMark,
    layers_of_kind,
    maps_on,
)

_HIT, _NEAR = (0, 158, 115), (150, 205, 190)
_STEPS = 1024
_MOST_FAINT = 0.25
_HIT_ALPHA = 0.6
_FURTHEST = 0.05
"""Value of the tile that is furthest: a little more than of what can never be found."""


class SimilarityLayer:
    """1 for what is the same as the examples, less for what is further, 0 for what is not meant.

    Parameters
    ----------
    viewer
        Where the layer goes.
    slide_layer, slide
        The slide that it lies on.
    """

    def __init__(self, viewer: ViewerModel, slide_layer: Layer, slide: Slide) -> None:
        self._viewer, self._slide_layer, self._slide = viewer, slide_layer, slide
        self._covered_up: list[Layer] = []

    @property
    def layer(self) -> Image | None:
        """The layer, if there is one."""
        layers = layers_of_kind(self._viewer, LayerKind.SIMILARITY, self._slide.quick_hash)
        return next((layer for layer in layers if isinstance(layer, Image)), None)

    def show(self, distances: HeatMap, reach: float) -> None:
        """Show a map of distances, of which none that is finite is larger than `reach`."""
        values = _closeness(distances.values, reach)
        placed = placement(distances, self._slide_layer)
        layer = self.layer
        if layer is None:
            self._add(values, placed)
        else:
            layer.data = values
            place(layer, placed)

    def show_radius(self, radius: float, reach: float) -> None:
        """Colour what lies within a radius."""
        layer = self.layer
        if layer is not None:
            layer.colormap = similarity_colours(_value(radius, reach))

    def hide(self) -> None:
        """Remove the layer, and show again the maps that it took the place of."""
        layer = self.layer
        if layer is not None:
            self._viewer.layers.remove(layer)
        for covered in self._covered_up:
            if covered in self._viewer.layers:
                session_of(self._viewer).set_shown(covered, True)
        self._covered_up = []

    def _add(self, values: NDArray[np.float32], placed: dict[str, Any]) -> None:
        layer = Image(
            values,
            name=f"Similar · {self._slide.name}",
            **placed,
            colormap=similarity_colours(1),
            contrast_limits=(0, 1),
            interpolation2d="nearest",
            opacity=0.7,
            blending="translucent",
            metadata=LayerMark(LayerKind.SIMILARITY, self._slide.quick_hash).metadata,
        )
        active = self._viewer.layers.selection.active
        self._make_room()
        self._viewer.layers.insert(self._above_the_maps(), layer)
        self._viewer.layers.selection.active = active

    def _make_room(self) -> None:
        """Hide the maps that are seen: two on each other cannot be read."""
        session = session_of(self._viewer)
        for layer in self._maps():
            if session.is_shown(layer):
                session.set_shown(layer, False)
                self._covered_up.append(layer)

    def _maps(self) -> list[Layer]:
        others = COLOUR_MAPS - {LayerKind.SIMILARITY}
        return maps_on(self._viewer, self._slide.quick_hash, others)

    def _above_the_maps(self) -> int:
        below = [self._slide_layer, *self._maps()]
        return 1 + max(
            (self._viewer.layers.index(one) for one in below if one in self._viewer.layers),
            default=-1,
        )


def similarity_colours(least: float) -> Colormap:
    """Return full colour from a value on, a hint of it below, and nothing at 0."""
    value = np.linspace(0, 1, _STEPS, dtype=np.float32)
    # Half a step, as that is how far a value may be from its colour.
    hit = value >= least - 0.5 / _STEPS
    colours = np.empty((_STEPS, 4), dtype=np.float32)
    colours[:, :3] = np.where(hit[:, None], _HIT, _NEAR)
    colours[:, :3] /= 255
    colours[:, 3] = np.where(hit, _HIT_ALPHA, _MOST_FAINT * value**2)
    colours[0, 3] = 0
    return Colormap(colours, name=f"SMSE similar {least:.4f}", display_name="Similar")


def _closeness(distances: NDArray[np.float32], reach: float) -> NDArray[np.float32]:
    """Return 1 at distance 0, `_FURTHEST` at the reach, 0 where infinite; NaN stays NaN."""
    finite = np.where(np.isinf(distances), reach, distances)
    return np.where(np.isinf(distances), 0, 1 - finite * _slope(reach)).astype(np.float32)


def _value(radius: float, reach: float) -> float:
    return max(_FURTHEST, 1 - radius * _slope(reach))


def _slope(reach: float) -> float:
    return (1 - _FURTHEST) / (reach or 1)
