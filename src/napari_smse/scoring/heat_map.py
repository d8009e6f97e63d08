"""Heat maps: one number per place on the slide, for napari, pictures and fusion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_smse.tiles import TileGrid


@dataclass(frozen=True)
class HeatMap:
    """A probability per square cell of a slide.

    Parameters
    ----------
    values
        (rows, columns) float32; NaN where no tile was scored.
    x, y
        Top-left corner of the first cell, level-0 px.
    cell
        Edge of a cell, level-0 px.
    """

    values: NDArray[np.float32]
    x: float
    y: float
    cell: float

    def at(self, x: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray[np.float32]:
        """Values at level-0 points; NaN outside the map."""
        columns = np.floor((x - self.x) / self.cell).astype(np.intp)
        rows = np.floor((y - self.y) / self.cell).astype(np.intp)
        height, width = self.values.shape
        inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
        values_at = np.full(np.shape(columns), np.nan, dtype=np.float32)
        values_at[inside] = self.values[rows[inside], columns[inside]]
        return values_at

    def centres(self) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Level-0 x of each column's and y of each row's cell centres."""
        height, width = self.values.shape
        return (
            self.x + (np.arange(width) + 0.5) * self.cell,
            self.y + (np.arange(height) + 0.5) * self.cell,
        )


def cells_covered(grid: TileGrid) -> list[float]:
    """How much of each cell from its own on a tile covers, along either edge, 0..1.

    A cell is as large as the step from tile to tile.
    """
    reach = grid.spec.size_level0 / grid.spec.stride_level0
    return [min(1.0, reach - step) for step in range(math.ceil(reach - 1e-6))]


class HeatMapBuilder:
    """Gathers tiles, in any order, into the heat map of one scale.

    A cell is as large as the step from tile to tile. Where tiles overlap, a
    cell holds their mean, weighted by how much of the cell each tile covers.

    Parameters
    ----------
    grid
        The grid that the tiles lie on.
    """

    def __init__(self, grid: TileGrid) -> None:
        self.grid = grid
        self._covered = cells_covered(grid)
        shape = (
            grid.rows + len(self._covered) - 1,
            grid.columns + len(self._covered) - 1,
        )
        self._sum = np.zeros(shape, dtype=np.float64)
        self._weight = np.zeros(shape, dtype=np.float64)

    def add(
        self,
        columns: NDArray[np.integer],
        rows: NDArray[np.integer],
        values: NDArray[np.floating],
    ) -> None:
        """Add the values of tiles at these grid positions, each (n,); NaN counts as not scored."""
        scored = np.isfinite(values)
        columns, rows, values = columns[scored], rows[scored], values[scored]
        for down, height in enumerate(self._covered):
            for along, width in enumerate(self._covered):
                cell = (rows + down, columns + along)
                np.add.at(self._sum, cell, values * (height * width))
                np.add.at(self._weight, cell, height * width)

    def value_at(self, x: float, y: float) -> float:
        """The value so far of the cell at a level-0 point; NaN where nothing was scored."""
        area, cell = self.grid.area, self.grid.spec.stride_level0
        row, column = int((y - area.y) // cell), int((x - area.x) // cell)
        rows, columns = self._sum.shape
        if not (0 <= row < rows and 0 <= column < columns and self._weight[row, column]):
            return math.nan
        return float(self._sum[row, column] / self._weight[row, column])

    def heat_map(self) -> HeatMap:
        """The map of what was added so far."""
        values = np.full(self._sum.shape, np.nan, dtype=np.float32)
        np.divide(self._sum, self._weight, out=values, where=self._weight > 0, casting="unsafe")
        area = self.grid.area
        return HeatMap(values, area.x, area.y, self.grid.spec.stride_level0)


def fuse(maps: Sequence[HeatMap]) -> HeatMap:
    """One map over all scales: the mean of the scales at each place.

    Every scale counts the same; a place that only some scales scored takes the
    mean of those.

    Parameters
    ----------
    maps
        At least one map of the same class and slide. The result has the cells
        of the finest.
    """
    finest = min(maps, key=lambda heat_map: heat_map.cell)
    x, y = np.meshgrid(*finest.centres())
    total, count = np.zeros(x.shape), np.zeros(x.shape)
    for heat_map in maps:
        values = heat_map.at(x, y)
        scored = np.isfinite(values)
        total[scored] += values[scored]
        count += scored
    fused = np.full(x.shape, np.nan, dtype=np.float32)
    np.divide(total, count, out=fused, where=count > 0, casting="unsafe")
    return HeatMap(fused, finest.x, finest.y, finest.cell)
