"""Scores of any program as layers over the slide: a map a column, and the tiles as points.

napari hands a reader a path alone, and so the slide is looked for in the viewer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import napari
import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_smse.annotations.geojson import holds_annotations
from napari_smse.errors import SmseError
from napari_smse.reader import LayerData
from napari_smse.results.exchange.tile_values import SUFFIXES, TileValues, read_tile_values
from napari_smse.widgets.layers.coordinates import placement
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import LayerKind, LayerMark, maps_on, slide_of

MOST_MAPS: Final = 24
"""Of a file; a table of features has hundreds of columns, which say nothing one by one."""
_COLOURS: Final = "viridis"
_POINT_SHARE: Final = 0.2

logger = logging.getLogger(__name__)


def get_reader(
    path: str | Sequence[str],
) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """Return a reader of scores if a slide is in view; napari asks before it opens. Never raises.

    Parameters
    ----------
    path
        A table, HDF5 or GeoJSON file, or several.
    """
    paths = [Path(one) for one in ([path] if isinstance(path, str) else path)]
    try:
        readable = all(one.suffix.lower() in SUFFIXES and not _is_drawn(one) for one in paths)
        return read_values if paths and readable and _slide_layer() is not None else None
    except SmseError:
        return None


def read_values(path: str | Sequence[str]) -> list[LayerData]:
    """Return the layers that show the scores of the slide in view.

    Raises
    ------
    DataError
        The file cannot be read, or is of another slide; napari shows the message.
    """
    layer = _slide_layer()
    assert layer is not None
    paths = [path] if isinstance(path, str) else path
    made_layers = [
        made
        for one in paths
        for values in read_tile_values(Path(one), slide_of(layer))
        for made in _layers(values, layer, slide_of(layer).quick_hash)
    ]
    _hide_maps_on(slide_of(layer).quick_hash)
    return made_layers


def _hide_maps_on(slide: str) -> None:
    """Hide the slide's maps: two lie over each other unreadably, and the legend is of one."""
    viewer = napari.current_viewer()
    for layer in [] if viewer is None else maps_on(viewer, slide):
        session_of(viewer).set_shown(layer, False)


def _is_drawn(path: Path) -> bool:
    """Whether it is GeoJSON with regions that somebody drew, which *SMSE: Annotate* loads."""
    return path.suffix.lower() in (".geojson", ".json") and holds_annotations(path)


def _slide_layer() -> Image | None:
    viewer = napari.current_viewer()
    return None if viewer is None else session_of(viewer).slide_layer


def _layers(found: TileValues, layer: Image, slide: str) -> Iterator[LayerData]:
    """Yield the layers of tiles of one size, marked so that they hide with their slide."""
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
