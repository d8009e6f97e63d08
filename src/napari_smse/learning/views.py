"""The tiles that an image is judged by."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_smse.learning.crops import crop_at
from napari_smse.learning.labelled_set import LabelledImage

JUDGED_MPPS: Final = (0.25, 0.5)
"""um/px at which images are judged, where their pixels support them: 40x and 20x scans."""


def judged_scales(mpp_range: tuple[float, float]) -> tuple[float, ...]:
    """Return the scales, um/px, an image is judged at; one at least.

    An image that supports none of the usual ones is judged at the nearest it does.
    """
    low, high = mpp_range
    usual = tuple(mpp for mpp in JUDGED_MPPS if low <= mpp <= high)
    return usual or (min(max(JUDGED_MPPS[-1], low), high),)


class View(NamedTuple):
    """A tile ``(size, size, 3)`` that an image is judged by, and its um/px."""

    tile: NDArray[np.uint8]
    mpp: float


def judged_views(picture: Image.Image, image: LabelledImage, size: int = 224) -> list[View]:
    """Return the tiles that an image's score is the mean over, with their scales."""
    return [
        View(tile, mpp)
        for mpp in judged_scales(image.mpp_range)
        for tile in tile_grid(picture, image.mpp, mpp, size)
    ]


def judged_tiles(
    picture: Image.Image, image: LabelledImage, size: int = 224
) -> list[NDArray[np.uint8]]:
    """Return the tiles ``(size, size, 3)`` that an image's score is the mean over."""
    return [view.tile for view in judged_views(picture, image, size)]


def tile_grid(
    picture: Image.Image, mpp: float, target_mpp: float, size: int = 224
) -> list[NDArray[np.uint8]]:
    """Cover a picture at `mpp` um/px evenly with tiles at a target scale, none beyond its edge.

    A picture smaller than a tile gives one, mirrored at its edges.
    """
    side = size * target_mpp / mpp
    across, down = (max(1, int(length // side)) for length in picture.size)
    return [
        crop_at(picture, mpp, target_mpp, (x, y), size)
        for y in _spread(down)
        for x in _spread(across)
    ]


def _spread(count: int) -> NDArray[np.float64]:
    return np.linspace(0, 1, count) if count > 1 else np.array([0.5])
