"""The tissue mask as a layer: what will be scored, and what was taken for pen or dark."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from napari.layers import Labels, Layer
from napari.utils import DirectLabelColormap

from napari_smse.slides import Slide
from napari_smse.tiles import Ground, TissueMask
from napari_smse.widgets.slide_layers import OF_SLIDE_KEY

_COLOURS = {
    int(Ground.TISSUE): "#00ffb4",
    int(Ground.PEN): "#ffb000",
    int(Ground.DARK): "#404040",
    int(Ground.GLASS): "transparent",
    None: "transparent",
}


def show_tissue(viewer: ViewerModel, slide_layer: Layer, slide: Slide, mask: TissueMask) -> Labels:
    """Lay the mask over the slide, in place of an earlier one of the same name."""
    name = f"Tissue · {slide.name}"
    if name in viewer.layers:
        viewer.layers.remove(name)
    px = np.asarray(slide_layer.scale[-2:], dtype=np.float64)
    cell = np.array(mask.cell[::-1])
    origin = np.array([mask.region.y, mask.region.x])
    layer = Labels(
        mask.ground,
        name=name,
        scale=px * cell,
        translate=np.asarray(slide_layer.translate[-2:]) + px * (origin + (cell - 1) / 2),
        units=slide_layer.units[-2:],
        axis_labels=slide_layer.axis_labels[-2:],
        opacity=0.35,
        colormap=DirectLabelColormap(color_dict=_COLOURS),
        metadata={OF_SLIDE_KEY: slide.quick_hash},
    )
    layer.editable = False
    active = viewer.layers.selection.active
    viewer.add_layer(layer)
    viewer.layers.selection.active = active
    return layer
