"""Where a slide is unlike everything known, as a grey hatched layer."""

from __future__ import annotations

from typing import Final

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer
from napari.utils import Colormap
from numpy.typing import NDArray

from napari_smse.scoring import HeatMap
from napari_smse.slides import Slide
from napari_smse.widgets.map_placing import placed
from napari_smse.widgets.slide_layers import OF_SLIDE_KEY

UNKNOWN_KEY: Final = "napari_smse_unknown"
"""Key of the layer's metadata: the slide's quick hash."""

_MOST_PX: Final = 4096
_PARTS: Final = 8
_KNOWN, _GREY, _STRIPE = 0, 1, 2


def show_unknown(viewer: ViewerModel, slide_layer: Layer, slide: Slide, unknown: HeatMap) -> Image:
    """Hatch the cells that are 1 in a map, over all maps of the slide."""
    hide_unknown(viewer, slide)
    parts = max(1, min(_PARTS, _MOST_PX // max(unknown.values.shape)))
    layer = Image(
        hatched(unknown.values >= 0.5, parts),
        name=f"Unlike anything known · {slide.name}",
        colormap=_colours(),
        contrast_limits=(_KNOWN, _STRIPE),
        interpolation2d="nearest",
        blending="translucent",
        metadata={UNKNOWN_KEY: slide.quick_hash, OF_SLIDE_KEY: slide.quick_hash},
        **placed(unknown, slide_layer, parts),
    )
    active = viewer.layers.selection.active
    viewer.add_layer(layer)
    viewer.layers.selection.active = active
    return layer


def hide_unknown(viewer: ViewerModel, slide: Slide) -> None:
    """Remove a slide's layer of what is unlike anything known, if there is one."""
    for layer in list(viewer.layers):
        if layer.metadata.get(UNKNOWN_KEY) == slide.quick_hash:
            viewer.layers.remove(layer)


def hatched(unknown: NDArray[np.bool_], parts: int) -> NDArray[np.uint8]:
    """Return cells drawn with so many pixels along either edge: grey, with stripes, where true."""
    whole = np.kron(unknown, np.ones((parts, parts), dtype=np.uint8)).astype(np.uint8)
    if parts < _PARTS:
        return whole * _STRIPE
    rows, columns = np.indices(whole.shape, sparse=True)
    stripe = (rows + columns) % parts < parts // 3
    return np.where(whole > 0, np.where(stripe, _STRIPE, _GREY), _KNOWN).astype(np.uint8)


def _colours() -> Colormap:
    colours = np.array([[0, 0, 0, 0], [0.55, 0.55, 0.55, 0.7], [0.15, 0.15, 0.15, 0.85]])
    return Colormap(colours, name="SMSE unknown", display_name="Unknown")
