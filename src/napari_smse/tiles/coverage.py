"""What tiles cover together: the cells between their edges, and how many lie on each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_smse.slides import Region
from napari_smse.tiles.scale_tiles import ScaleTiles


@dataclass(frozen=True, eq=False)
class TileCoverage:
    """Boxes along x and y, by the edges that they begin and end at.

    Parameters
    ----------
    x, y
        Edges in order, level-0 px; the cells between them are either covered or not.
    left, top, right, bottom
        Numbers of the edges of each box, ``(n,)``.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    left: NDArray[np.intp]
    top: NDArray[np.intp]
    right: NDArray[np.intp]
    bottom: NDArray[np.intp]

    @classmethod
    def of_tiles(cls, tiles: ScaleTiles) -> TileCoverage:
        """Return what tiles of a scale cover.

        Tiles that are meant to end where others begin may miss each other by the `pixel` of their
        grid, as their edges are rounded. Such edges are taken for one, so that there are neither
        gaps nor slivers between neighbours.
        """
        grid = tiles.grid
        columns, rows = np.arange(grid.columns), np.arange(grid.rows)
        x = _edges(np.concatenate([grid.left(columns), grid.right(columns)]), grid.pixel)
        y = _edges(np.concatenate([grid.top(rows), grid.bottom(rows)]), grid.pixel)
        left, top = tiles.x, tiles.y
        return cls._between(x, y, left, top, left + tiles.width, top + tiles.height)

    @classmethod
    def of_boxes(cls, boxes: NDArray[np.integer]) -> TileCoverage:
        """Return what boxes cover: left, top, width and height, ``(n, 4)``, level-0 px."""
        left, top, width, height = boxes.T
        right, bottom = left + width, top + height
        x, y = (np.unique(np.concatenate(ends)) for ends in ((left, right), (top, bottom)))
        return cls._between(x, y, left, top, right, bottom)

    @classmethod
    def _between(
        cls,
        x: NDArray[np.integer],
        y: NDArray[np.integer],
        left: NDArray[np.integer],
        top: NDArray[np.integer],
        right: NDArray[np.integer],
        bottom: NDArray[np.integer],
    ) -> TileCoverage:
        numbers = (_number(x, left), _number(y, top), _number(x, right), _number(y, bottom))
        return cls(x.astype(np.float64), y.astype(np.float64), *numbers)

    def counts(self) -> NDArray[np.intp]:
        """Return how many boxes lie on each cell, ``(rows, columns)``."""
        # Up where a box begins and down where it ends: the running sum says how many are there.
        shape = (len(self.y), len(self.x))
        up, down = (
            np.bincount(np.ravel_multi_index(corners, shape), minlength=shape[0] * shape[1])
            for corners in (
                self._corners(((self.top, self.left), (self.bottom, self.right))),
                self._corners(((self.top, self.right), (self.bottom, self.left))),
            )
        )
        return np.asarray((up - down).reshape(shape).cumsum(0).cumsum(1)[:-1, :-1])

    def covered(self) -> NDArray[np.bool_]:
        """Return which cells are covered, ``(rows, columns)``."""
        return np.asarray(self.counts() > 0)

    def area(self) -> float:
        """Return how much is covered, what several cover counted once, level-0 px²."""
        return float(np.diff(self.y) @ self.covered() @ np.diff(self.x))

    def shares(self, within: Region) -> NDArray[np.float64]:
        """Return how much of a region each box stands for, ``(n,)``, level-0 px².

        What several cover is divided among them evenly, so that the sum is what they cover
        together.
        """
        widths = np.diff(np.clip(self.x, within.x, within.right))
        heights = np.diff(np.clip(self.y, within.y, within.bottom))
        each = np.outer(heights, widths) / np.maximum(self.counts(), 1)
        sums = np.pad(each, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
        return np.asarray(
            sums[self.bottom, self.right]
            - sums[self.top, self.right]
            - sums[self.bottom, self.left]
            + sums[self.top, self.left]
        )

    @staticmethod
    def _corners(
        pairs: tuple[tuple[NDArray[np.intp], NDArray[np.intp]], ...],
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        rows, columns = zip(*pairs, strict=True)
        return np.concatenate(rows), np.concatenate(columns)


def _edges(all_of_them: NDArray[np.integer], pixel: int) -> NDArray[np.integer]:
    """Return the edges in order; of those that only rounding keeps apart, the first."""
    edges = np.unique(all_of_them)
    apart = np.concatenate([[True], np.diff(edges) > pixel])
    return np.asarray(edges[apart])


def _number(edges: NDArray[np.integer], value: NDArray[np.integer]) -> NDArray[np.intp]:
    return np.searchsorted(edges, value, side="right") - 1
