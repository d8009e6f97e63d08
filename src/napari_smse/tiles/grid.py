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
    and row are moved back to end at the far edge: they leave no tissue out, and
    show the network nothing but slide. An area smaller than a tile, such as a
    camera's field, is mirrored at its far edges instead.

    Parameters
    ----------
    spec
        Size and spacing of the tiles.
    area
        The scanned area, level-0 px.
    pixel
        Tiles begin and end at whole multiples of so many level-0 px: the pixels of the level that
        they are cut from, as cutting between pixels takes three times as long.
    inside
        Whether the last column and row end at the far edge; if not, they reach over it, as those
        did that earlier versions scored.
    """

    spec: TileSpec
    area: Region
    pixel: int = 1
    inside: bool = True

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

    @property
    def shown_px(self) -> tuple[int, int]:
        """Rows and columns of a tile, px at its scale, that show the area; the rest is mirrored."""
        px = self.spec.size_px / self.spec.size_level0
        height, width = (
            min(self.spec.size_px, max(1, math.floor(extent * px + 1e-6)))
            for extent in (self.area.height, self.area.width)
        )
        return height, width

    def _count(self, extent: int) -> int:
        beyond_first = (extent - self.spec.size_level0) / self.spec.stride_level0
        return 1 + max(0, math.ceil(beyond_first - 1e-6))

    def left(self, columns: NDArray[np.integer]) -> NDArray[np.int32]:
        """Left edges of grid columns, level-0 px.

        Off by no more than half a `pixel`, but for the last, which is where the area ends.
        """
        return self._whole(self._begin(self.area.x, self.area.width, columns))

    def top(self, rows: NDArray[np.integer]) -> NDArray[np.int32]:
        """Top edges of grid rows, level-0 px."""
        return self._whole(self._begin(self.area.y, self.area.height, rows))

    def right(self, columns: NDArray[np.integer]) -> NDArray[np.int32]:
        """Right edges of grid columns, level-0 px, rounded for themselves as the left ones are."""
        begin = self._begin(self.area.x, self.area.width, columns)
        return self._whole(begin + self.spec.size_level0)

    def bottom(self, rows: NDArray[np.integer]) -> NDArray[np.int32]:
        """Bottom edges of grid rows, level-0 px."""
        begin = self._begin(self.area.y, self.area.height, rows)
        return self._whole(begin + self.spec.size_level0)

    def _begin(self, origin: int, extent: int, index: NDArray[np.integer]) -> NDArray[np.float64]:
        begin = np.asarray(origin + index * self.spec.stride_level0, dtype=np.float64)
        if not self.inside:
            return begin
        # On a whole pixel, and not before the area, which may be smaller than a tile.
        last = (origin + extent - self.spec.size_level0) / self.pixel
        limit = max(origin, math.floor(last + 1e-6) * self.pixel)
        return np.asarray(np.minimum(begin, limit), dtype=np.float64)

    def _whole(self, exact: NDArray[np.float64]) -> NDArray[np.int32]:
        return np.asarray(np.rint(exact / self.pixel) * self.pixel, dtype=np.int32)
