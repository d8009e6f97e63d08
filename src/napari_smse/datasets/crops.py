"""Crops of labelled images at a target scale, and the tiles that an image is evaluated by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_smse.datasets.labelled_set import LabelledImage
from napari_smse.slides import Region, Window
from napari_smse.tiles import ScaleTiles, TileGrid, TileSpec, TissueMask, classify_ground
from napari_smse.tiles.mirror import mirrored
from napari_smse.tiles.tile_choice import choose_tiles
from napari_smse.tiles.tissue import overview_mpp


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
    return _mirrored_around(np.asarray(part)[:size, :size], size)


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


def _mirrored_around(part: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    above, left = ((size - have) // 2 for have in part.shape[:2])
    return mirrored(part, (above, left), size)


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
    return picture_tiles(picture, image.mpp, evaluation_scales(image.mpp_range), size)


def picture_tiles(
    picture: Image.Image, mpp: float, target_mpps: Sequence[float], size: int = 224
) -> list[EvaluationCrop]:
    """Cut a picture into the tiles that scoring it as a slide takes, row by row.

    The whole of it is covered, the last column and row end at its edges, a picture smaller than a
    tile is mirrored, and tiles with less than a quarter of tissue are left out. A picture without
    any such tile gives all.

    Parameters
    ----------
    picture
        RGB image at `mpp` um/px.
    mpp
        Its scale.
    target_mpps
        Scales of the tiles, um/px.
    size
        Side of the tiles, px.
    """
    mask = _tissue_of(picture, mpp)
    grids = [TileGrid(TileSpec(size, target, mpp), mask.region) for target in target_mpps]
    chosen = [choose_tiles(grid, mask) for grid in grids]
    if not any(len(tiles) for tiles in chosen):
        chosen = [_every_tile(grid) for grid in grids]
    window = Window(np.asarray(picture), 0.0, 0.0, 1.0)
    return [
        EvaluationCrop(_cut(window, region, tiles.grid), tiles.grid.spec.mpp)
        for tiles in chosen
        for region in tiles.regions(0, len(tiles))
    ]


def _tissue_of(picture: Image.Image, mpp: float) -> TissueMask:
    area = Region(0, 0, *picture.size)
    overview = overview_mpp(area, mpp)
    width, height = (max(1, round(side * mpp / overview)) for side in picture.size)
    seen = picture.resize((width, height), Image.Resampling.BILINEAR)
    return TissueMask(classify_ground(np.asarray(seen), overview), area)


def _every_tile(grid: TileGrid) -> ScaleTiles:
    rows, columns = (
        index.ravel()
        for index in np.meshgrid(
            *(np.arange(count, dtype=np.int32) for count in (grid.rows, grid.columns)),
            indexing="ij",
        )
    )
    return ScaleTiles(grid, columns, rows, np.zeros(len(rows), np.float32))


def _cut(window: Window, region: Region, grid: TileGrid) -> NDArray[np.uint8]:
    size, (height, width) = grid.spec.size_px, grid.shown_px
    rows, columns = window.pixels.shape[:2]
    across = min(region.width * width / size, columns - region.x)
    down = min(region.height * height / size, rows - region.y)
    part = window.crop_box((region.x, region.y, across, down), (width, height))
    return mirrored(part, (0, 0), size)


def evaluation_tiles(
    picture: Image.Image, image: LabelledImage, size: int = 224
) -> list[NDArray[np.uint8]]:
    """Return the tiles ``(size, size, 3)`` that an image's score is the mean over."""
    return [view.tile for view in evaluation_crops(picture, image, size)]


def crop_grid(
    picture: Image.Image, mpp: float, target_mpp: float, size: int = 224
) -> list[NDArray[np.uint8]]:
    """Cover a picture at `mpp` um/px evenly with tiles at a target scale, none beyond its edge.

    A picture smaller than a tile gives one, mirrored at its edges. Models before 1.0.0 took their
    exemplars from these tiles; now `picture_tiles` are taken.
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
