"""Links between tiles as lines on the slide: green must be alike, red must differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer, Shapes

from napari_smse.annotations.tile_notes import PairConstraint, TilePlace
from napari_smse.slides import Slide
from napari_smse.widgets.slide_layers import LayerKind, LayerMark, layers_of_kind, level0_to_world

_ALIKE, _DIFFER = "#43a047", "#e53935"
WIDTH_PX: Final = 3.0
"""Of the lines on the screen, at any zoom (`ScreenWidth`)."""


def show_pair_constraints(
    viewer: ViewerModel, slide_layer: Layer, slide: Slide, links: Sequence[PairConstraint]
) -> Shapes | None:
    """Draw the links whose tiles both lie on a slide, in place of those drawn before.

    Returns
    -------
    Shapes or None
        None if there is nothing to draw.
    """
    for layer in layers_of_kind(viewer, LayerKind.PAIR_CONSTRAINTS, slide.quick_hash):
        viewer.layers.remove(layer)
    here = [one for one in links if one.first.slide == one.second.slide == slide.quick_hash]
    if not here:
        return None
    active = viewer.layers.selection.active
    made = Shapes(
        [
            level0_to_world(slide_layer, np.array([_centre(one.first), _centre(one.second)]))
            for one in here
        ],
        shape_type="line",
        name=f"Links · {slide.name}",
        edge_color=[_ALIKE if one.must_link else _DIFFER for one in here],
        units=slide_layer.units[-2:],
        axis_labels=slide_layer.axis_labels[-2:],
        metadata=LayerMark(LayerKind.PAIR_CONSTRAINTS, slide.quick_hash).metadata,
    )
    viewer.layers.append(made)
    if active in viewer.layers:
        viewer.layers.selection.active = active
    return made


def _centre(place: TilePlace) -> tuple[float, float]:
    return place.x + place.width / 2, place.y + place.height / 2
