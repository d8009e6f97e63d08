"""The tiles of a neighbourhood, cut from one read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_smse.slides import Region, Slide, Window
from napari_smse.tiles import ReadBlock, TileGrid, TilePlan
from napari_smse.tiles.mirror import mirrored


def read_block(slide: Slide, plan: TilePlan, block: ReadBlock) -> NDArray[np.uint8]:
    """Read the tiles of a block, those of all its scales from the same pixels.

    Returns
    -------
    (n, tile_px, tile_px, 3), in the order of the block's members
    """
    window = plan.source(slide).window(block.region, block.mpp)
    size = plan.scales[block.members[0][0]].grid.spec.size_px
    tiles = np.empty((block.tile_count, size, size, 3), dtype=np.uint8)
    row = 0
    for scale, start, stop in block.members:
        grid = plan.scales[scale].grid
        for region in plan.scales[scale].regions(start, stop):
            tiles[row] = cut_tile(window, region, grid)
            row += 1
    return tiles


def cut_tile(window: Window, region: Region, grid: TileGrid) -> NDArray[np.uint8]:
    """Cut a tile of a grid, mirrored where the scanned area is smaller than it.

    Parameters
    ----------
    window
        The pixels it lies in.
    region
        Region that the tile shows, level-0 px.
    grid
        That it is of.

    Returns
    -------
    (size_px, size_px, 3), RGB
    """
    size = grid.spec.size_px
    tile = cut(window, region, size)
    height, width = grid.shown_px
    if not grid.inside or (height, width) == (size, size):
        return tile
    return mirrored(tile[:height, :width], (0, 0), size)


def cut(window: Window, region: Region, edge: int) -> NDArray[np.uint8]:
    """Cut a tile as `Window.crop` does, where source pixels are whole in a fraction of the time.

    Parameters
    ----------
    window
        The pixels it lies in.
    region
        Region that the tile shows, level-0 px.
    edge
        Edge of the tile, px.

    Returns
    -------
    (edge, edge, 3), RGB
    """
    framed = window.framed(region, (edge, edge))
    if framed is None:
        return window.crop(region, (edge, edge))
    if framed.shape[:2] == (edge + 2, edge + 2):
        return framed[1:-1, 1:-1]
    return _resized(framed, edge + 2)[1:-1, 1:-1]


def _resized(pixels: NDArray[np.uint8], edge: int) -> NDArray[np.uint8]:
    """Resize by torch's filter for bytes: Pillow's, to the bit, but written for vector units."""
    # Not at the top, as docks open without torch.
    import torch
    from torch.nn.functional import interpolate

    # A copy, as torch warns of pixels that cannot be written to.
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]
    resized = interpolate(image, (edge, edge), mode="bilinear", antialias=True)
    return np.asarray(resized[0].permute(1, 2, 0))
