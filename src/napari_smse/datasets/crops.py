"""Crops of labelled images at a target scale, and the tiles that an image is evaluated by."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_smse.datasets.labelled_set import LabelledImage


def crop_at(
    image: Image.Image, mpp: float, target_mpp: float, centre: tuple[float, float], size: int = 224
) -> NDArray[np.uint8]:
    """Return a crop ``(size, size, 3)`` at `target_mpp`, mirrored where the image ends.

    Parameters
    ----------
    image
        RGB image at `mpp` um/px.
    mpp, target_mpp
        Scales in um/px.
    centre
        Position of the crop within the margin that the image leaves it, (x, y), each 0..1.
    size
        Side in px.
    """
    side = size * target_mpp / mpp
    width, height = min(side, image.width), min(side, image.height)
    left = (image.width - width) * centre[0]
    top = (image.height - height) * centre[1]
    pixels = (max(1, round(width * mpp / target_mpp)), max(1, round(height * mpp / target_mpp)))
    box = (left, top, left + width, top + height)
    part = image.resize(pixels, Image.Resampling.BILINEAR, box=box)
    return _mirrored(np.asarray(part), size)


def centre_around(
    image: Image.Image,
    mpp: float,
    target_mpp: float,
    place: tuple[float, float],
    size: int = 224,
) -> tuple[float, float]:
    """Return the `centre` for `crop_at` of a crop around a place, as far as the edges allow.

    Parameters
    ----------
    image, mpp, target_mpp, size
        As for `crop_at`.
    place
        (x, y) of the image, each 0..1.
    """
    side = size * target_mpp / mpp
    across, down = (
        min(max((part * length - side / 2) / (length - side), 0.0), 1.0) if length > side else 0.5
        for part, length in zip(place, image.size, strict=True)
    )
    return across, down


def _mirrored(part: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    missing_y, missing_x = max(0, size - part.shape[0]), max(0, size - part.shape[1])
    pad = [(missing // 2, missing - missing // 2) for missing in (missing_y, missing_x)]
    # numpy cannot reflect a single line, which only generated images have.
    mode = "reflect" if min(part.shape[:2]) > 1 else "edge"
    return np.asarray(np.pad(part, [*pad, (0, 0)], mode=mode)[:size, :size])  # type: ignore[call-overload]


EVALUATION_MPPS: Final = (0.25, 0.5)
"""um/px at which images are evaluated, where their pixels support them: 40x and 20x scans."""


def evaluation_scales(mpp_range: tuple[float, float]) -> tuple[float, ...]:
    """Return the scales, um/px, that an image is evaluated at; one at least.

    An image that supports none of the usual ones is evaluated at the nearest that it does.
    """
    low, high = mpp_range
    usual = tuple(mpp for mpp in EVALUATION_MPPS if low <= mpp <= high)
    return usual or (min(max(EVALUATION_MPPS[-1], low), high),)


class EvaluationCrop(NamedTuple):
    """A tile ``(size, size, 3)`` that an image is evaluated by, and its um/px."""

    tile: NDArray[np.uint8]
    mpp: float


def evaluation_crops(
    picture: Image.Image, image: LabelledImage, size: int = 224
) -> list[EvaluationCrop]:
    """Return the tiles that an image's score is the mean over, with their scales."""
    return [
        EvaluationCrop(tile, mpp)
        for mpp in evaluation_scales(image.mpp_range)
        for tile in crop_grid(picture, image.mpp, mpp, size)
    ]


def evaluation_tiles(
    picture: Image.Image, image: LabelledImage, size: int = 224
) -> list[NDArray[np.uint8]]:
    """Return the tiles ``(size, size, 3)`` that an image's score is the mean over."""
    return [view.tile for view in evaluation_crops(picture, image, size)]


def crop_grid(
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
