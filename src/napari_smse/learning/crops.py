"""Crops of labelled images at a target scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from napari_smse.learning.stain import jitter_stain


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


def draw_scale(mpp_range: tuple[float, float], rng: np.random.Generator) -> float:
    """Draw a um/px log-uniformly."""
    return float(np.exp(rng.uniform(*np.log(mpp_range))))


def augmented_crop(
    image: Image.Image,
    mpp: float,
    mpp_range: tuple[float, float],
    rng: np.random.Generator,
    size: int = 224,
) -> NDArray[np.uint8]:
    """Return a crop at a random scale and place, turned, blurred and stained at random."""
    x, y = rng.uniform(size=2)
    crop = crop_at(image, mpp, draw_scale(mpp_range, rng), (x, y), size)
    crop = np.rot90(crop, int(rng.integers(4)))
    if rng.integers(2):
        crop = crop[:, ::-1]
    return jitter_stain(_defocused(crop, rng), rng)


def plain_crops(
    image: Image.Image, mpp: float, mpp_range: tuple[float, float], size: int = 224
) -> list[NDArray[np.uint8]]:
    """Return the crops an image is judged by: at 0.25 and 0.5 um/px where it supports them.

    Where it supports neither, at the nearest scale it does; images wider than 1.5
    crops give two.
    """
    low, high = mpp_range
    scales = [scale for scale in (0.25, 0.5) if low <= scale <= high]
    if not scales:
        scales = [min(max(0.5, low), high)]
    crops = []
    for scale in scales:
        wide = image.width * mpp / scale > 1.5 * size
        for x in (0.15, 0.85) if wide else (0.5,):
            crops.append(crop_at(image, mpp, scale, (x, 0.5), size))
    return crops


def _defocused(crop: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Blur half the crops, so that a source's sharpness says nothing of the class."""
    if rng.integers(2):
        return crop
    blur = ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.2)))
    return np.asarray(Image.fromarray(np.ascontiguousarray(crop)).filter(blur))


def _mirrored(part: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    missing_y, missing_x = max(0, size - part.shape[0]), max(0, size - part.shape[1])
    pad = [(missing // 2, missing - missing // 2) for missing in (missing_y, missing_x)]
    # numpy cannot reflect a single line, which only generated images have.
    mode = "reflect" if min(part.shape[:2]) > 1 else "edge"
    return np.asarray(np.pad(part, [*pad, (0, 0)], mode=mode)[:size, :size])  # type: ignore[call-overload]
