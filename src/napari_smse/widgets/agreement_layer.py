"""Where the scales of a slide agree, and which of them decides, as a layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer
from napari.utils import Colormap

from napari_smse.scoring import objective_power
from napari_smse.similarity.scale_agreement import ScaleAgreement
from napari_smse.slides import Slide
from napari_smse.widgets.map_placing import placed
from napari_smse.widgets.slide_layers import OF_SLIDE_KEY

AGREEMENT_KEY: Final = "napari_smse_agreement"
"""Key of the layers' metadata: the slide's quick hash."""

AGREE: Final = (0, 158, 115)
DIFFER: Final = (204, 121, 167)
DECIDING: Final = {
    "light blue": (86, 180, 233),
    "yellow": (240, 228, 66),
    "orange": (230, 159, 0),
    "white": (255, 255, 255),
}
"""By name, the colours of the scales that decide, fine to coarse."""


def show_agreement(
    viewer: ViewerModel, slide_layer: Layer, slide: Slide, found: ScaleAgreement, scales: int
) -> None:
    """Lay over the slide where the scales agree, and hidden below it which of them decides."""
    hide_agreement(viewer, slide)
    active = viewer.layers.selection.active
    several = max(2, scales)
    for name, heat_map, colours, shown in (
        ("Deciding scale", found.decided, _decide_colours(several), False),
        ("Scale agreement", found.agree, _ramp((DIFFER, AGREE), "SMSE agreement"), True),
    ):
        viewer.add_layer(
            Image(
                heat_map.values,
                name=f"{name} · {slide.name}",
                colormap=colours,
                contrast_limits=(0, 1 if shown else several - 1),
                interpolation2d="nearest",
                opacity=0.6,
                blending="translucent",
                visible=shown,
                metadata={AGREEMENT_KEY: slide.quick_hash, OF_SLIDE_KEY: slide.quick_hash},
                **placed(heat_map, slide_layer),
            )
        )
    viewer.layers.selection.active = active


def hide_agreement(viewer: ViewerModel, slide: Slide) -> None:
    """Remove a slide's layers of agreement, if there are any."""
    for layer in list(viewer.layers):
        if layer.metadata.get(AGREEMENT_KEY) == slide.quick_hash:
            viewer.layers.remove(layer)


def tell_agreement(found: ScaleAgreement, mpps: Sequence[float]) -> str:
    """Say in words how far the scales agree, and which decides how often."""
    if np.isnan(found.share):
        return "No place was scored at two scales."
    names = list(DECIDING)
    decided = ", ".join(
        f"{objective_power(mpp):.3g}x at {found.decided_share(number):.0%} "
        f"({names[number % len(names)]})"
        for number, mpp in enumerate(mpps)
    )
    return (
        f"The scales call the same class at {found.share:.0%} of the places (green) and differ at "
        f"the rest (purple). The surest scale is {decided}: show the layer “Deciding scale” to see "
        "where."
    ).replace("%", " %")


def _decide_colours(scales: int) -> Colormap:
    colours = list(DECIDING.values())
    return _ramp([colours[number % len(colours)] for number in range(scales)], f"SMSE {scales}")


def _ramp(colours: Sequence[tuple[int, int, int]], name: str) -> Colormap:
    """Return one colour for each whole number from 0; nothing where a map has no value."""
    rgba = np.ones((len(colours), 4))
    rgba[:, :3] = np.asarray(colours) / 255
    return Colormap(rgba, name=name, display_name=name)
