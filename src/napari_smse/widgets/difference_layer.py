"""Where a fine-tuned model sees more of a class than before, and where less, as a layer."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer
from napari.utils import Colormap
from numpy.typing import NDArray

from napari_smse.palette import diverging_ramp
from napari_smse.scoring import FUSED, MapName, ScoreMaps
from napari_smse.slides import Slide
from napari_smse.widgets.slide_layers import OF_SLIDE_KEY

DIFFERENCE_KEY = "napari_smse_difference"
"""Key of a difference layer's metadata: the slide's quick hash."""


def show_difference(
    viewer: ViewerModel, slide_layer: Layer, slide: Slide, before: ScoreMaps, after: ScoreMaps
) -> Image | None:
    """Show after minus before of the class that matters most, hidden until it is looked at.

    Returns
    -------
    Image or None
        None if the classes are others than before.
    """
    hide_difference(viewer, slide)
    if before.classes != after.classes:
        return None
    name = _most_telling(after)
    old, new = before.heat_map(name), after.heat_map(name)
    px = np.asarray(slide_layer.scale[-2:], dtype=np.float64)
    origin = np.array([new.y, new.x]) + (new.cell - 1) / 2
    layer = Image(
        new.values - old.values,
        name=f"Change of P({name.class_name}) · {slide.name}",
        scale=px * new.cell,
        translate=np.asarray(slide_layer.translate[-2:]) + px * origin,
        units=slide_layer.units[-2:],
        axis_labels=slide_layer.axis_labels[-2:],
        colormap=_colours(),
        contrast_limits=(-1, 1),
        interpolation2d="nearest",
        opacity=0.7,
        blending="translucent",
        visible=False,
        metadata={DIFFERENCE_KEY: slide.quick_hash, OF_SLIDE_KEY: slide.quick_hash},
    )
    active = viewer.layers.selection.active
    at = viewer.layers.index(slide_layer) + 1 if slide_layer in viewer.layers else 0
    viewer.layers.insert(at, layer)
    viewer.layers.selection.active = active
    return layer


def difference_of(viewer: ViewerModel, slide: Slide) -> Image | None:
    """Return the difference layer of a slide, if there is one."""
    for layer in viewer.layers:
        if layer.metadata.get(DIFFERENCE_KEY) == slide.quick_hash and isinstance(layer, Image):
            return layer
    return None


def hide_difference(viewer: ViewerModel, slide: Slide) -> None:
    """Remove a slide's difference layer."""
    layer = difference_of(viewer, slide)
    if layer is not None:
        viewer.layers.remove(layer)


def _most_telling(maps: ScoreMaps) -> MapName:
    names = list(maps)
    wanted = "malignant" if "malignant" in maps.classes else maps.classes[-1]
    of_class = [name for name in names if name.class_name == wanted]
    return next((name for name in of_class if name.scale == FUSED), of_class[0])


def _colours() -> Colormap:
    """Blue where it fell, orange where it rose, nothing where little changed."""
    colours: NDArray[np.float32] = diverging_ramp(257).copy()
    colours[:, 3] = np.clip(np.abs(np.linspace(-1, 1, 257)) * 2, 0, 1)
    return Colormap(colours, name="SMSE change", display_name="Change")
