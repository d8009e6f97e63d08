"""Small pictures of tiles."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import SmseError
from napari_smse.progress import Progress, Task
from napari_smse.slides import Region, Slide
from napari_smse.workflows.scored_slide import PICTURE_PX, TileOnSlide

Thumbnail = tuple[Hashable, NDArray[np.uint8]]
"""What a picture was asked for by, and its pixels, RGB ``(h, w, 3)``."""

_AT_ONCE: Final = 10
"""So many are handed out together: each repaint takes as long as one of many."""

logger = logging.getLogger(__name__)


def read_thumbnail(slide: Slide, region: Region, side_px: int = PICTURE_PX) -> NDArray[np.uint8]:
    """Read a region in at most about so many pixels a side, ``(h, w, 3)``.

    Parameters
    ----------
    slide, region
        Where it lies, level-0 px.
    side_px
        Of the longer side, px; what is smaller is not enlarged.

    Raises
    ------
    SlideError
        It cannot be read.
    """
    side = max(region.width, region.height)
    return np.ascontiguousarray(slide.read(region, slide.mpp * max(1.0, side / side_px)))


def read_thumbnails(tiles: Sequence[tuple[Hashable, TileOnSlide]]) -> Task[None]:
    """Read pictures of tiles, handed out as the `detail` of the progress, lists of `Thumbnail`.

    Tiles that cannot be read are left out: a list without a picture is better than none.
    """
    yield from hand_out(_readable(tiles))


def hand_out(thumbnails: Iterable[Thumbnail]) -> Task[None]:
    """Hand out pictures several at a time, as the `detail` of the progress."""
    ready: list[Thumbnail] = []
    for thumbnail in thumbnails:
        ready.append(thumbnail)
        if len(ready) == _AT_ONCE:
            yield Progress(detail=ready)
            ready = []
    yield Progress(detail=ready)


def _readable(tiles: Sequence[tuple[Hashable, TileOnSlide]]) -> Iterator[Thumbnail]:
    for key, tile in tiles:
        try:
            yield key, read_thumbnail(tile.slide, tile.region)
        except SmseError:
            logger.warning("a tile of %s cannot be read", tile.slide.name, exc_info=True)
