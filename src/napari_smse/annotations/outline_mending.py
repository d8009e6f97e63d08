"""Outlines that cross themselves, as hands draw them, made into areas."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

import numpy as np
import shapely
from shapely import MultiPolygon, Polygon

from napari_smse.errors import RegionError

logger = logging.getLogger(__name__)

_FEW_CORNERS: Final = 60
_SIDES_AT_ONCE: Final = 256
_MAX_CROSSINGS: Final = 2_000


def mended(geometry: Polygon | MultiPolygon, path: Path) -> list[Polygon]:
    """Return the valid polygons of an outline; the log says what was mended.

    Parameters
    ----------
    geometry
        As drawn; it may cross itself.
    path
        Of its file, to be named.

    Raises
    ------
    RegionError
        It crosses itself so often that mending it would take more than some seconds.
    """
    if not geometry.is_valid:
        _require_few_crossings(geometry, path)
        reason = shapely.is_valid_reason(geometry)
        logger.warning("%s: mended an outline (%s)", path, reason)
        geometry = shapely.make_valid(geometry)
    parts = shapely.get_parts(shapely.get_parts(geometry))
    return [part for part in parts if isinstance(part, Polygon) and part.area > 0]


def _require_few_crossings(geometry: Polygon | MultiPolygon, path: Path) -> None:
    """Refuse an outline whose mending would take long: each crossing makes a piece."""
    rings = [ring for one in shapely.get_parts(geometry) for ring in (one.exterior, *one.interiors)]
    corners = [shapely.get_coordinates(ring) for ring in rings]
    if sum(map(len, corners)) < _FEW_CORNERS:
        return
    sides = np.concatenate([np.stack([ring[:-1], ring[1:]], axis=1) for ring in corners])
    lines = shapely.linestrings(sides)
    tree, crossings = shapely.STRtree(lines), 0
    for first in range(0, len(lines), _SIDES_AT_ONCE):
        part = lines[first : first + _SIDES_AT_ONCE]
        crossings += tree.query(part, predicate="crosses").shape[1] // 2
        if crossings > _MAX_CROSSINGS:
            raise RegionError(
                f"{path} holds an outline that crosses itself more than {_MAX_CROSSINGS} times; "
                "draw it again"
            )
