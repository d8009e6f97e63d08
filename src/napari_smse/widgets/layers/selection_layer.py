"""Tiles that were chosen in a plot, highlighted on their slides: one image a slide and scale."""

from __future__ import annotations

from typing import Final

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer
from napari.utils import Colormap
from numpy.typing import NDArray

from napari_smse.scoring import HeatMap, describe_scale
from napari_smse.slides import Slide
from napari_smse.widgets.layers.coordinates import place, placement
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import (
    LAYER_KEY,
    LayerKind,
    LayerMark,
    layer_with,
    layers_of_kind,
)
from napari_smse.workflows.embedding_map import EmbeddingMap, MappedSlide

_COLOUR: Final = (0.1, 0.9, 1.0)


class SelectionLayers:
    """The highlights in a viewer.

    Parameters
    ----------
    viewer
        Where the slides are; of those that are not there any longer nothing is shown.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer

    def show(self, space: EmbeddingMap, selection: NDArray[np.bool_]) -> None:
        """Highlight these tiles, ``(n,)``, and no others."""
        seen = set()
        for number, one in enumerate(space.slides):
            layer = layer_with(self._viewer, one.slide.quick_hash)
            chosen = selection[space.rows_of(number)]
            if layer is not None and chosen.any():
                seen |= self._show_slide(layer, one, chosen)
        self._hide_others(seen)

    def hide(self) -> None:
        """Highlight nothing."""
        self._hide_others(set())

    def _show_slide(
        self, slide_layer: Layer, one: MappedSlide, chosen: NDArray[np.bool_]
    ) -> set[tuple[str, float]]:
        seen = set()
        values = np.where(chosen, 1.0, np.nan)
        for scale in np.unique(one.tiles.scale[chosen]):
            heat_map = one.tiles.heat_map(values, int(scale))
            mpp = one.tiles.scales[int(scale)].grid.spec.mpp
            self._lay(slide_layer, one.slide, mpp, heat_map)
            seen.add((one.slide.quick_hash, mpp))
        return seen

    def _lay(self, slide_layer: Layer, slide: Slide, mpp: float, heat_map: HeatMap) -> None:
        """Show a map in the layer of its slide and scale, which is made if there is none."""
        layer = self._layer_of((slide.quick_hash, mpp))
        if layer is None:
            active = self._viewer.layers.selection.active
            layer = self._viewer.add_layer(_made(slide_layer, slide, mpp, heat_map))
            self._viewer.layers.selection.active = active
        layer.data = heat_map.values
        place(layer, placement(heat_map, slide_layer))
        session_of(self._viewer).set_shown(layer, True)

    def _layer_of(self, mark: tuple[str, float]) -> Image | None:
        slide, mpp = mark
        for layer in layers_of_kind(self._viewer, LayerKind.SELECTION, slide):
            if isinstance(layer, Image) and layer.metadata[LAYER_KEY].detail == mpp:
                return layer
        return None

    def _hide_others(self, seen: set[tuple[str, float]]) -> None:
        for layer in layers_of_kind(self._viewer, LayerKind.SELECTION):
            mark = layer.metadata[LAYER_KEY]
            if (mark.slide, mark.detail) not in seen:
                session_of(self._viewer).set_shown(layer, False)


def _made(slide_layer: Layer, slide: Slide, mpp: float, heat_map: HeatMap) -> Image:
    return Image(
        heat_map.values,
        name=f"Chosen tiles {describe_scale(mpp)} · {slide.name}",
        **placement(heat_map, slide_layer),
        colormap=Colormap([(*_COLOUR, 0.0), (*_COLOUR, 1.0)], name="SMSE chosen"),
        contrast_limits=(0, 1),
        interpolation2d="nearest",
        opacity=0.55,
        blending="translucent",
        metadata=LayerMark(LayerKind.SELECTION, slide.quick_hash, mpp).metadata,
    )
