"""The tiles of a scale, and the neighbourhoods that are read at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_smse.slides import Region
from napari_smse.tiles.grid import TileGrid


@dataclass(frozen=True)
class ScaleTiles:
    """The tiles to score at one scale, ordered so that a block's tiles are neighbours.

    Parameters
    ----------
    grid
        Grid that the tiles lie on.
    columns, rows
        Grid position of each tile, (n,).
    tissue
        Fraction of each tile that is tissue, (n,) in 0..1.
    """

    grid: TileGrid
    columns: NDArray[np.int32]
    rows: NDArray[np.int32]
    tissue: NDArray[np.float32]

    def __len__(self) -> int:
        """Number of tiles."""
        return len(self.columns)

    @property
    def x(self) -> NDArray[np.int32]:
        """Left edges, level-0 px, (n,)."""
        return self.grid.left(self.columns)

    @property
    def y(self) -> NDArray[np.int32]:
        """Top edges, level-0 px, (n,)."""
        return self.grid.top(self.rows)

    @property
    def width(self) -> NDArray[np.int32]:
        """Widths, level-0 px, (n,): all the same but for rounding."""
        return self.grid.right(self.columns) - self.x

    @property
    def height(self) -> NDArray[np.int32]:
        """Heights, level-0 px, (n,): all the same but for rounding."""
        return self.grid.bottom(self.rows) - self.y

    def region(self, index: int) -> Region:
        """The piece of slide that a tile shows, edges within half a level px of their place."""
        tile = self.take(np.array([index]))
        return Region(*(int(side[0]) for side in (tile.x, tile.y, tile.width, tile.height)))

    def regions(self, start: int, stop: int) -> list[Region]:
        """The pieces of slide that consecutive tiles show."""
        tiles = self.take(np.arange(start, stop))
        sides = (tiles.x, tiles.y, tiles.width, tiles.height)
        return [Region(*map(int, box)) for box in zip(*sides, strict=True)]

    def take(self, index: NDArray[np.integer]) -> ScaleTiles:
        """The tiles at these positions, in this order."""
        return ScaleTiles(self.grid, self.columns[index], self.rows[index], self.tissue[index])


@dataclass(frozen=True)
class PlacedTiles(ScaleTiles):
    """Tiles whose places another program chose: they lie near the grid's cells, not in them.

    Parameters
    ----------
    corners
        Top-left corners ``(n, 2)``: (x, y), level-0 px. All tiles are of the grid's `edge`.
    """

    corners: NDArray[np.int32]

    @classmethod
    def near(
        cls,
        grid: TileGrid,
        corners: NDArray[np.int32],
        tissue: NDArray[np.float32] | None = None,
    ) -> PlacedTiles:
        """Return tiles at these corners, each in the cell of the grid that is nearest to it.

        Those that lie where the grid's last column or row was moved back to are of that. What is
        not known of their tissue is NaN.
        """
        step, (x, y) = grid.spec.stride_level0, corners.T
        columns = _nearest(x, grid.left(np.arange(grid.columns)), grid.area.x, step)
        rows = _nearest(y, grid.top(np.arange(grid.rows)), grid.area.y, step)
        if tissue is None:
            tissue = np.full(len(corners), np.nan, dtype=np.float32)
        return cls(grid, columns, rows, tissue, corners)

    @property
    def x(self) -> NDArray[np.int32]:
        """Left edges, level-0 px, (n,)."""
        return self.corners[:, 0]

    @property
    def y(self) -> NDArray[np.int32]:
        """Top edges, level-0 px, (n,)."""
        return self.corners[:, 1]

    @property
    def width(self) -> NDArray[np.int32]:
        """Widths, level-0 px, (n,)."""
        return np.full(len(self), self.grid.edge, dtype=np.int32)

    @property
    def height(self) -> NDArray[np.int32]:
        """Heights, level-0 px, (n,)."""
        return self.width

    def take(self, index: NDArray[np.integer]) -> PlacedTiles:
        """The tiles at these positions, in this order."""
        return replace(
            self,
            columns=self.columns[index],
            rows=self.rows[index],
            tissue=self.tissue[index],
            corners=self.corners[index],
        )


def _nearest(
    places: NDArray[np.int32], begins: NDArray[np.int32], origin: int, step: float
) -> NDArray[np.int32]:
    """Return the column, or row, of each place, of those that begin at `begins`.

    Of two that are a step apart none is rounded to the other's.
    """
    last = len(begins) - 1
    cells = np.clip(np.floor((places - origin) / step + 0.5), 0, last).astype(np.int32)
    is_last = np.abs(places - begins[-1]) < np.abs(places - begins[cells])
    return np.where(is_last, np.int32(last), cells)


@dataclass(frozen=True)
class ReadBlock:
    """A neighbourhood that is read once for the scales that one level serves.

    Parameters
    ----------
    region
        Region to read, level-0 px.
    mpp
        The finest scale that the block serves, um/px.
    members
        Number of each scale served, and its first and past-last tile.
    coarse_first
        Whether it is of the coarse pass, which is read first.
    """

    region: Region
    mpp: float
    members: tuple[tuple[int, int, int], ...]
    coarse_first: bool = True

    @property
    def tile_count(self) -> int:
        """Number of tiles of all scales in the block."""
        return sum(stop - start for _, start, stop in self.members)

    def tile(self, row: int) -> tuple[int, int]:
        """Return scale and index of the block's tile in this row."""
        for scale, start, stop in self.members:
            if row < stop - start:
                return scale, start + row
            row -= stop - start
        raise IndexError(row)
