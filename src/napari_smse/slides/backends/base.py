"""What a slide needs from whatever reads its file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from napari_smse.slides.region import Region
from napari_smse.slides.scale import StatedScale

WHITE = (255, 255, 255)


@dataclass(frozen=True)
class Level:
    """One resolution of a slide.

    Parameters
    ----------
    width, height : int
        Size, level px.
    downsample : float
        Level-0 px that one level px spans; 1.0 for level 0.
    tile_width, tile_height : int
        Size of the pieces the file stores, level px.
    """

    width: int
    height: int
    downsample: float
    tile_width: int
    tile_height: int


@dataclass(frozen=True)
class SlideFacts:
    """Metadata of a slide's file; its ICC profile as it is stored, empty if it cannot be read."""

    vendor: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)
    stated_scale: StatedScale = field(default_factory=StatedScale)
    background: tuple[int, int, int] = WHITE
    bounds: Region | None = None
    associated_images: tuple[str, ...] = ()
    icc_profile: bytes | None = field(default=None, repr=False)


class Backend(Protocol):
    """Reads one file; every method may be called from several threads at once."""

    name: str
    levels: tuple[Level, ...]
    facts: SlideFacts

    def read_level(self, level: int, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Return level pixels (height, width, 3) of a box that lies inside the level."""
        ...

    def associated_image(self, name: str) -> NDArray[np.uint8]:
        """Return a named picture that belongs to the slide, (height, width, 3)."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


def level_downsample(full: tuple[int, int], level: tuple[int, int]) -> float:
    """Return the exact step of a level from its size and that of level 0.

    Pyramids are nearly always made by whole steps, and a level's size is then the
    full size divided and rounded up or down; dividing the sizes gives 8.014 for a
    level that was made by 8, which shifts its far edge by four level-0 px. So a
    whole number that explains both sides is taken, else the longer side's ratio. Files
    whose levels were resized to a rounded size instead are then off by less than one
    level px at their far edge; sizes do not tell the two apart.

    Parameters
    ----------
    full, level : tuple of int
        (width, height) of level 0 and of the level, px.
    """
    ratios = [f / n for f, n in zip(full, level, strict=True)]
    # A level of a few pixels is explained by several steps; halving made most of them.
    halvings = [2 ** round(math.log2(ratio)) for ratio in ratios]
    for step in (*halvings, *map(round, ratios)):
        if step >= 1 and all(
            f // step <= n <= -(-f // step) for f, n in zip(full, level, strict=True)
        ):
            return float(step)
    return ratios[0] if full[0] >= full[1] else ratios[1]


def levels_from_sizes(
    sizes: Sequence[tuple[int, int]], tiles: Sequence[tuple[int, int]]
) -> tuple[Level, ...]:
    """Return levels from their sizes and stored tile sizes, (width, height) each."""
    return tuple(
        Level(*size, level_downsample(sizes[0], size), *tile)
        for size, tile in zip(sizes, tiles, strict=True)
    )


def as_rgb(
    pixels: NDArray[np.uint8], background: tuple[int, int, int] = WHITE
) -> NDArray[np.uint8]:
    """Bring grey, grey+alpha, RGB or RGBA pixels to RGB on a background colour."""
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    samples = pixels.shape[-1]
    if samples == 3:
        return pixels
    if samples == 1:
        return np.repeat(pixels, 3, axis=-1)
    colour = pixels[..., :3] if samples == 4 else np.repeat(pixels[..., :1], 3, axis=-1)
    return composite(colour, pixels[..., -1], background)


def composite(
    colour: NDArray[np.uint8], alpha: NDArray[np.uint8], background: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Lay colour of shape (h, w, 3) with alpha of shape (h, w) on a background colour."""
    if alpha.min(initial=255) == 255:
        return np.ascontiguousarray(colour)
    weight = alpha[..., np.newaxis].astype(np.uint32)
    behind = np.asarray(background, dtype=np.uint32)
    mixed = (colour * weight + behind * (255 - weight) + 127) // 255
    return mixed.astype(np.uint8)
