"""Where tiles lie on a slide."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_smse.slides import Region
from napari_smse.tiles.spec import TileSpec


@dataclass(frozen=True)
class TileGrid:
    """A regular grid of tiles over an area of a slide.

    The grid hangs on the area's top-left corner whatever region is scored, so
    that results of several regions of one slide fit together. The last column
    and row reach over the far edge rather than leave tissue out.

    Parameters
    ----------
    spec
        Size and spacing of the tiles.
    area
        The scanned area, level-0 px.
    pixel
        Tiles begin and end at whole multiples of so many level-0 px: the pixels of the level that
        they are cut from, as cutting between pixels takes three times as long.
    """

    spec: TileSpec
    area: Region
    pixel: int = 1

    @property
    def columns(self) -> int:
        """Number of tiles side by side."""
        return self._count(self.area.width)

    @property
    def rows(self) -> int:
        """Number of tiles one below the other."""
        return self._count(self.area.height)

    @property
    def edge(self) -> int:
        """Edge of a tile in whole level-0 px; single tiles may have a `pixel` more or less."""
        return max(1, round(self.spec.size_level0 / self.pixel)) * self.pixel

    def _count(self, extent: int) -> int:
        beyond_first = (extent - self.spec.size_level0) / self.spec.stride_level0
        return 1 + max(0, math.ceil(beyond_first - 1e-6))

    def left(self, columns: NDArray[np.integer]) -> NDArray[np.int32]:
        """Left edges of grid columns, level-0 px; never off by more than half a `pixel`."""
        return self._edges(self.area.x, columns)

    def top(self, rows: NDArray[np.integer]) -> NDArray[np.int32]:
        """Top edges of grid rows, level-0 px."""
        return self._edges(self.area.y, rows)

    def right(self, columns: NDArray[np.integer]) -> NDArray[np.int32]:
        """Right edges of grid columns, level-0 px, rounded for themselves as the left ones are."""
        return self._edges(self.area.x + self.spec.size_level0, columns)

    def bottom(self, rows: NDArray[np.integer]) -> NDArray[np.int32]:
        """Bottom edges of grid rows, level-0 px."""
        return self._edges(self.area.y + self.spec.size_level0, rows)

    def _edges(self, origin: float, index: NDArray[np.integer]) -> NDArray[np.int32]:
        exact = origin + index * self.spec.stride_level0
        return np.asarray(np.rint(exact / self.pixel) * self.pixel, dtype=np.int32)

    def tiles_at(self, x: float, y: float) -> tuple[range, range]:
        """Columns and rows of the tiles that cover a level-0 point (several when they overlap)."""
        return (
            self._covering(x - self.area.x, self.columns),
            self._covering(y - self.area.y, self.rows),
        )

    def _covering(self, distance: float, count: int) -> range:
        stride, size = self.spec.stride_level0, self.spec.size_level0
        first = math.floor((distance - size) / stride + 1e-9) + 1
        last = math.floor(distance / stride)
        return range(max(0, first), min(count, last + 1))
