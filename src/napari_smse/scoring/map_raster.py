"""Heat maps as they are drawn: finer than their cells, on the tissue alone, smooth if asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_smse.scoring.heat_map import HeatMap
from napari_smse.tiles import TissueMask

_MOST_PX: Final = 1536
"""Longest side of a drawn map, px: it is drawn anew several times a second during a run."""
_MOST_PARTS: Final = 32

_T = TypeVar("_T", bound=np.generic)


@dataclass(frozen=True)
class MapRaster:
    """Draws the maps of one grid of cells, each cell with several pixels, on the tissue alone.

    Parameters
    ----------
    outline
        A map of the grid; its values do not matter.
    mask
        The slide's tissue; None to draw whole cells.
    """

    outline: HeatMap
    mask: TissueMask | None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of pixels."""
        rows, columns = self.outline.values.shape
        return rows * self.parts, columns * self.parts

    @cached_property
    def parts(self) -> int:
        """Pixels that a cell is drawn with along either edge: as many as the mask has there."""
        if self.mask is None:
            return 1
        wanted = round(self.outline.cell / min(self.mask.cell))
        affordable = _MOST_PX // max(self.outline.values.shape)
        return int(max(1, min(wanted, affordable, _MOST_PARTS)))

    def draw(self, heat_map: HeatMap, *, smooth: bool = False) -> NDArray[np.float32]:
        """Return the pixels of a map of this grid, NaN where there is no tissue or no score.

        Parameters
        ----------
        heat_map
            What to draw.
        smooth
            Interpolate between the middles of cells that were scored.
        """
        scored = np.isfinite(heat_map.values)
        if smooth:
            pixels = _interpolated(heat_map.values, scored, self.parts)
        else:
            pixels = _repeated(heat_map.values, self.parts)
        hidden = self._off_tissue
        if smooth:
            hidden = hidden | ~_repeated(scored, self.parts)
        pixels[hidden] = np.nan
        return pixels

    @cached_property
    def _off_tissue(self) -> NDArray[np.bool_]:
        """Pixels that show no tissue, ``(rows, columns)``; none where a cell is one pixel."""
        if self.mask is None or self.parts == 1:
            return np.zeros(self.shape, dtype=bool)
        pixel, mask = self.outline.cell / self.parts, self.mask
        across, down = mask.cell
        height, width = mask.tissue.shape
        y = self.outline.y + (np.arange(self.shape[0]) + 0.5) * pixel
        x = self.outline.x + (np.arange(self.shape[1]) + 0.5) * pixel
        rows = np.floor((y - mask.region.y) / down).astype(np.intp)
        columns = np.floor((x - mask.region.x) / across).astype(np.intp)
        tissue = mask.tissue[np.clip(rows, 0, height - 1)][:, np.clip(columns, 0, width - 1)]
        tissue[(rows < 0) | (rows >= height)] = False
        tissue[:, (columns < 0) | (columns >= width)] = False
        return np.asarray(~tissue)


def _repeated(values: NDArray[_T], parts: int) -> NDArray[_T]:
    return np.repeat(np.repeat(values, parts, axis=0), parts, axis=1)


def _interpolated(
    values: NDArray[np.float32], scored: NDArray[np.bool_], parts: int
) -> NDArray[np.float32]:
    """Interpolate bilinearly between cells that were scored, each weighing by its nearness."""
    known = _stretched(_stretched(np.where(scored, values, 0), parts).T, parts).T
    weight = _stretched(_stretched(scored.astype(np.float32), parts).T, parts).T
    pixels = np.full(known.shape, np.nan, dtype=np.float32)
    np.divide(known, weight, out=pixels, where=weight > 0)
    return pixels


def _stretched(values: NDArray[np.float32], parts: int) -> NDArray[np.float32]:
    """Interpolate linearly along the rows; beyond the middles of the outer ones they continue."""
    place = (np.arange(len(values) * parts) + 0.5) / parts - 0.5
    place = np.clip(place, 0, len(values) - 1)
    lower = np.floor(place).astype(np.intp)
    upper = np.minimum(lower + 1, len(values) - 1)
    share = (place - lower).astype(np.float32)[:, None]
    return np.asarray(values[lower] * (1 - share) + values[upper] * share, dtype=np.float32)
