"""Crops of labelled images at a target scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


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
        Where in the image's free play the crop lies, (x, y), each 0..1.
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


def _mirrored(part: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    missing_y, missing_x = max(0, size - part.shape[0]), max(0, size - part.shape[1])
    pad = [(missing // 2, missing - missing // 2) for missing in (missing_y, missing_x)]
    # numpy cannot reflect a single line, which only generated images have.
    mode = "reflect" if min(part.shape[:2]) > 1 else "edge"
    return np.asarray(np.pad(part, [*pad, (0, 0)], mode=mode)[:size, :size])  # type: ignore[call-overload]
