"""Where a map's layer lies on its slide's layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from napari.layers import Layer

from napari_smse.scoring import HeatMap


def placement(heat_map: HeatMap, slide_layer: Layer, parts: int = 1) -> dict[str, Any]:
    """Return scale, translation, units and axes of a map's layer.

    Parameters
    ----------
    heat_map, slide_layer
        What is to lie on what.
    parts
        Pixels that each cell is drawn with, along either edge.
    """
    cell = heat_map.cell / parts
    return grid_placement(slide_layer, (heat_map.y, heat_map.x), (cell, cell))


def grid_placement(
    slide_layer: Layer, corner: tuple[float, float], cell: tuple[float, float]
) -> dict[str, Any]:
    """Return scale, translation, units and axes of a layer of cells.

    napari places a layer by the centre of pixel 0, but a cell of c level-0 px starts at the edge
    of its first pixel: hence (c - 1) / 2.

    Parameters
    ----------
    slide_layer
        What it is to lie on.
    corner
        Top left, (y, x) in level-0 px.
    cell
        Size of a cell, (y, x) in level-0 px.
    """
    px = np.asarray(slide_layer.scale[-2:], dtype=np.float64)
    size = np.array(cell, dtype=np.float64)
    origin = np.array(corner) + (size - 1) / 2
    return {
        "scale": px * size,
        "translate": np.asarray(slide_layer.translate[-2:], dtype=np.float64) + px * origin,
        "units": slide_layer.units[-2:],
        "axis_labels": slide_layer.axis_labels[-2:],
    }


def place(layer: Layer, placed: Mapping[str, Any]) -> None:
    """Move and stretch a layer to a placement, touching only what differs: a touch is a redraw."""
    for name in ("scale", "translate"):
        if not np.array_equal(getattr(layer, name), placed[name]):
            setattr(layer, name, placed[name])
