"""Scores of any program as layers over the slide: a map a column, and the tiles as points."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_smse.reader import LayerData
from napari_smse.results.exchange.tile_values import TileValues
from napari_smse.widgets.layers.coordinates import placement
from napari_smse.widgets.slide_layers import LayerKind, LayerMark

MOST_MAPS: Final = 24
"""Of a file; a table of features has hundreds of columns, which say nothing one by one."""
_COLOURS: Final = "viridis"
_POINT_SHARE: Final = 0.2

logger = logging.getLogger(__name__)


def value_layers(found: TileValues, layer: Image, slide: str) -> Iterator[LayerData]:
    """Yield the layers of tiles of one size, marked so that they hide with their slide.

    Parameters
    ----------
    found
        The tiles and their scores.
    layer, slide
        The slide's layer, and its quick hash.
    """
    mark = LayerMark(LayerKind.OTHER_SCORES, slide).metadata
    names = list(found.values)
    if len(names) > MOST_MAPS:
        logger.warning("%s: maps of the first %d columns", found.path.name, MOST_MAPS)
    for number, name in enumerate(names[:MOST_MAPS]):
        # Of classes the last is the one that is looked for.
        yield _map_layer(
            found, name, layer, visible=number == min(len(names), MOST_MAPS) - 1, mark=mark
        )
    yield _points_layer(found, layer, mark)


def _map_layer(
    found: TileValues, name: str, layer: Image, *, visible: bool, mark: Mapping[str, LayerMark]
) -> LayerData:
    heat_map = found.heat_map(name)
    arguments: dict[str, Any] = {
        **placement(heat_map, layer),
        "name": f"{name} · {found.path.stem} ({found.tile_size} px)",
        "colormap": _COLOURS,
        "contrast_limits": _limits(heat_map.values),
        "interpolation2d": "nearest",
        "opacity": 0.55,
        "blending": "translucent",
        "visible": visible,
        "metadata": dict(mark),
    }
    return heat_map.values, arguments, "image"


def _limits(values: NDArray[np.float32]) -> tuple[float, float]:
    """Return 0 to 1 for what may be a probability, else the least and the largest value."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    return (low, high) if high > low else (low, low + 1)


def _points_layer(found: TileValues, layer: Image, mark: Mapping[str, LayerMark]) -> LayerData:
    """Return the middles of the tiles, with all columns as features: a table, and a selection."""
    middles = (found.placed.corners + found.tile_size / 2 - 0.5)[:, ::-1]
    arguments: dict[str, Any] = {
        "name": f"tiles · {found.path.stem} ({found.tile_size} px)",
        "scale": layer.scale[-2:],
        "translate": layer.translate[-2:],
        "units": layer.units[-2:],
        "axis_labels": layer.axis_labels[-2:],
        "features": found.values,
        "size": found.tile_size * _POINT_SHARE,
        "face_color": "transparent",
        "border_color": "black",
        "visible": False,
        "metadata": dict(mark),
    }
    return middles, arguments, "points"
