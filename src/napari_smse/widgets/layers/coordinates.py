"""Where a map's layer lies on its slide's layer."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Layer

from napari_smse.scoring import HeatMap


def placement(heat_map: HeatMap, slide_layer: Layer, parts: int = 1) -> dict[str, Any]:
    """Return scale, translation, units and axes of a map's layer.

    napari places a layer by the centre of pixel 0, but a cell of c level-0 px starts at the edge
    of its first pixel: hence (c - 1) / 2.

    Parameters
    ----------
    heat_map, slide_layer
        What is to lie on what.
    parts
        Pixels that each cell is drawn with, along either edge.
    """
    px = np.asarray(slide_layer.scale[-2:], dtype=np.float64)
    cell = heat_map.cell / parts
    origin = np.array([heat_map.y, heat_map.x]) + (cell - 1) / 2
    return {
        "scale": px * cell,
        "translate": np.asarray(slide_layer.translate[-2:], dtype=np.float64) + px * origin,
        "units": slide_layer.units[-2:],
        "axis_labels": slide_layer.axis_labels[-2:],
    }
