"""Outlines of tiles that were chosen, to be kept as regions of a class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from shapely import Polygon

from napari_smse.errors import RegionError
from napari_smse.similarity.tile_outlines import covered_regions
from napari_smse.workflows.embedding_map import MappedSlide, SpaceMap

MOST_REGIONS: Final = 2_000
"""A viewer takes a second to draw so many shapes."""

Outlined = tuple[MappedSlide, list[Polygon]]


def outlined(space: SpaceMap, selection: NDArray[np.bool_]) -> Iterator[Outlined]:
    """Yield the regions that chosen tiles, ``(n,)``, cover, slide by slide, in level-0 px.

    Raises
    ------
    RegionError
        There are too many.
    """
    for number, one in enumerate(space.slides):
        chosen = selection[space.rows_of(number)]
        if not chosen.any():
            continue
        regions = covered_regions(one.tiles, chosen)
        if len(regions) > MOST_REGIONS:
            raise RegionError(
                f"The chosen tiles of {one.slide.name} lie in {len(regions):,} separate places, "
                f"more than the {MOST_REGIONS:,} that can be drawn: choose fewer tiles."
            )
        yield one, regions
