"""A network run over a whole slide, window by window."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import MaskError
from napari_smse.progress import Progress, Task
from napari_smse.slides import Region, Slide
from napari_smse.tiles import Ground

if TYPE_CHECKING:
    from napari_smse.segmentation.weights import Segmenter

WINDOW_PX: Final = 512
"""Edge of what the network sees at once: what the published ones were trained on."""

MARGIN_PX: Final = 64
"""What is seen on every side beyond what is taken: at its border a network sees too little.

A multiple of 16, as the step from window to window is where cells are single pixels: so the blocks
of a JPEG lie as if the whole slide had been compressed at once.
"""

_MOST_PER_CELL: Final = 64
_ON_GPU: Final = 8
_COARSEST: Final = 2.5
"""A slide is never magnified by more than this."""
_BLOCK_PX: Final = 8
_BLANK_RANGE: Final = 4.0
"""Grey levels by which means of blocks may differ where there is nothing but glass."""


@dataclass(frozen=True)
class WindowGrid:
    """The windows of a slide, and the cells that each gives.

    Parameters
    ----------
    area
        What is covered, level-0 px.
    step
        Level-0 px to a pixel of the network.
    cell
        Pixels of the network, along either edge, that make one cell of the result.
    """

    area: Region
    step: float
    cell: int

    @property
    def core(self) -> int:
        """Edge of what is taken of a window, px: whole cells."""
        return (WINDOW_PX - 2 * MARGIN_PX) // self.cell * self.cell

    @property
    def shape(self) -> tuple[int, int]:
        """Number of windows down and across."""
        sides = self.area.height, self.area.width
        down, across = (max(1, math.ceil(side / self.step / self.core)) for side in sides)
        return down, across

    def region(self, row: int, column: int) -> Region:
        """Return what a window shows, margin included, level-0 px."""
        left, top = (self.step * (at * self.core - MARGIN_PX) for at in (column, row))
        edge = max(1, round(WINDOW_PX * self.step))
        return Region(round(self.area.x + left), round(self.area.y + top), edge, edge)


def segment_slide(
    slide: Slide, segmenter: Segmenter, overview_mpp: float, shape: tuple[int, int]
) -> Task[NDArray[np.uint8]]:
    """Find what a slide shows where by a network, as its windows see it.

    Memory is bounded by some windows; glass alone is not shown to the network.

    Parameters
    ----------
    slide
        The slide.
    segmenter
        The network.
    overview_mpp
        um/px of the result, roughly; pixels of the network that fall together are outvoted.
    shape
        Of the result, (h, w), which covers the slide's bounds.

    Returns
    -------
    ``shape`` uint8 of `Ground`

    Raises
    ------
    MaskError
        The slide is much coarser than what the network takes.
    SlideError
        The slide cannot be read.
    """
    if slide.mpp > _COARSEST * segmenter.mpp:
        raise MaskError(
            f"{slide.path.name} has {slide.mpp:.3g} µm/px, too coarse for "
            f"{segmenter.network.name}, which takes {segmenter.mpp:g}: give a mask as GeoJSON."
        )
    cell = min(max(1, round(overview_mpp / segmenter.mpp)), _MOST_PER_CELL)
    grid = WindowGrid(slide.bounds, segmenter.mpp / slide.mpp, cell)
    down, across = grid.shape
    edge = grid.core // cell
    cells = np.full((down * edge, across * edge), Ground.GLASS, dtype=np.uint8)
    windows = list(product(range(down), range(across)))
    several, done = _batch_size(segmenter.device), 0
    for first in range(0, len(windows), several):
        group = windows[first : first + several]
        yield Progress(done, down * across, f"Finding tissue: {done:,} of {down * across:,} parts")
        for (row, column), found in _found(slide, segmenter, grid, group):
            cells[row * edge : (row + 1) * edge, column * edge : (column + 1) * edge] = found
        done += len(group)
    yield Progress(done, down * across)
    return _resampled(cells, grid, shape)


def _batch_size(device: str) -> int:
    return 1 if device == "cpu" else _ON_GPU


def _found(
    slide: Slide, segmenter: Segmenter, grid: WindowGrid, group: Sequence[tuple[int, int]]
) -> Iterator[tuple[tuple[int, int], NDArray[np.uint8]]]:
    """Yield the cells of those windows that show more than glass."""
    images = {at: _sized(slide.read(grid.region(*at), segmenter.mpp)) for at in group}
    seen = [at for at, image in images.items() if not is_blank(image)]
    if not seen:
        return
    core = slice(MARGIN_PX, MARGIN_PX + grid.core)
    for at, ground in zip(
        seen, segmenter.ground(np.stack([images[at] for at in seen])), strict=True
    ):
        yield at, outvoted(ground[core, core], grid.cell)


def _sized(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image of a window's size: rounding can cost a slide that is magnified a pixel."""
    short = [(0, max(0, WINDOW_PX - side)) for side in image.shape[:2]]
    return np.pad(image, [*short, (0, 0)], mode="edge")[:WINDOW_PX, :WINDOW_PX]


def is_blank(image: NDArray[np.uint8]) -> bool:
    """Whether an image shows glass alone: light that hardly differs from block to block.

    Parameters
    ----------
    image
        ``(h, w, 3)`` RGB.
    """
    height, width = (side // _BLOCK_PX for side in image.shape[:2])
    blocks = image[: height * _BLOCK_PX, : width * _BLOCK_PX]
    means = blocks.reshape(height, _BLOCK_PX, width, _BLOCK_PX, 3).mean(axis=(1, 3))
    return bool(np.ptp(means, axis=(0, 1)).max() <= _BLANK_RANGE)


def outvoted(ground: NDArray[np.uint8], cell: int) -> NDArray[np.uint8]:
    """Return what most pixels of each cell show.

    Parameters
    ----------
    ground
        ``(h, w)`` of `Ground`; sides are multiples of `cell`.
    cell
        Edge of a cell, px.
    """
    height, width = (side // cell for side in ground.shape)
    parts = ground.reshape(height, cell, width, cell)
    votes = np.stack([(parts == kind).sum(axis=(1, 3)) for kind in Ground])
    return np.asarray(votes.argmax(axis=0), dtype=np.uint8)


def _resampled(
    cells: NDArray[np.uint8], grid: WindowGrid, shape: tuple[int, int]
) -> NDArray[np.uint8]:
    """Return the cells as pixels that cover the area exactly, as cells of a network do not."""
    size, sides = grid.step * grid.cell, (grid.area.height, grid.area.width)
    rows, columns = (
        ((np.arange(count) + 0.5) * side / count / size).astype(np.intp)
        for count, side in zip(shape, sides, strict=True)
    )
    return cells[rows][:, columns]
