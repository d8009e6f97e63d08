"""The scored tiles of one scale, and all of a slide in one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from napari_smse.scoring.heat_map import HeatMap, HeatMapBuilder
from napari_smse.slides import Region
from napari_smse.tiles import PlacedTiles, ScaleTiles
from napari_smse.tiles.appearance import MEASURES


@dataclass(frozen=True)
class ScaleScores:
    """The tiles of one scale and their scores.

    Parameters
    ----------
    tiles
        Where the tiles lie.
    probability
        (n, classes) float32; NaN for a tile that was not scored yet.
    embedding
        (n, d) float16, L2-normalised.
    appearance
        (n, k) float32, see `tiles.appearance`; NaN where that was not measured, as in the stores
        of earlier versions. Empty if only probabilities are at hand.
    """

    tiles: ScaleTiles
    probability: NDArray[np.float32]
    embedding: NDArray[np.float16]
    appearance: NDArray[np.float32] = field(
        default_factory=lambda: np.empty((0, len(MEASURES)), dtype=np.float32)
    )

    @property
    def mpp(self) -> float:
        """The scale, um/px."""
        return self.tiles.grid.spec.mpp

    def heat_map(self, class_index: int) -> HeatMap:
        """The map of one class."""
        return self.map_of(self.probability[:, class_index])

    def map_of(self, values: NDArray[np.floating]) -> HeatMap:
        """The map of one value a tile, ``(n,)``; NaN leaves a place empty."""
        builder = HeatMapBuilder(self.tiles.grid)
        builder.add(self.tiles.columns, self.tiles.rows, values)
        return builder.heat_map()


@dataclass(frozen=True)
class TileTable:
    """The tiles of a slide that were scored, those of all scales one after the other.

    Attributes
    ----------
    scales
        The tiles of each scale, fine to coarse; only those that were scored.
    embeddings
        ``(n, d)`` float32, each of length 1.
    probability
        ``(n, classes)`` float32.
    classes
        Names, in the order of the probabilities.
    """

    scales: tuple[ScaleTiles, ...]
    embeddings: NDArray[np.float32]
    probability: NDArray[np.float32]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        """Number of tiles of all scales."""
        return len(self.embeddings)

    @cached_property
    def scale(self) -> NDArray[np.intp]:
        """Number of each tile's scale, ``(n,)``."""
        return np.repeat(np.arange(len(self.scales)), [len(tiles) for tiles in self.scales])

    @cached_property
    def mpps(self) -> NDArray[np.float32]:
        """um/px of each tile, ``(n,)``."""
        scale_mpps = [tiles.grid.spec.mpp for tiles in self.scales]
        return np.asarray(scale_mpps, dtype=np.float32)[self.scale]

    @cached_property
    def places(self) -> NDArray[np.int32]:
        """Where each tile lies, ``(n, 4)``: x, y, width, height, level-0 px."""
        sides = [np.stack([t.x, t.y, t.width, t.height], axis=1) for t in self.scales]
        return np.concatenate([np.empty((0, 4), np.int32), *sides]).astype(np.int32)

    def rows_of(self, scale: int) -> slice:
        """Rows of the tiles of one scale."""
        start = sum(len(tiles) for tiles in self.scales[:scale])
        return slice(start, start + len(self.scales[scale]))

    def region(self, row: int) -> Region:
        """Where a tile lies, level-0 px."""
        return Region(*(int(side) for side in self.places[row]))

    def at(self, x: float, y: float) -> list[int]:
        """Rows of the tiles at a level-0 point, finest first.

        Of each scale one at most: where tiles overlap, the one whose middle is nearest.
        """
        x0, y0, width, height = self.places.T
        inside = (x0 <= x) & (x < x0 + width) & (y0 <= y) & (y < y0 + height)
        off = np.hypot(x0 + width / 2 - x, y0 + height / 2 - y)
        rows_at_point = []
        for number in range(len(self.scales)):
            rows = np.flatnonzero(inside & (self.scale == number))
            if len(rows):
                rows_at_point.append(int(rows[off[rows].argmin()]))
        return rows_at_point

    def index_in(self, planned: Sequence[ScaleTiles]) -> list[NDArray[np.int64]]:
        """Return which of the tiles of a run's plan these are, scale by scale."""
        return [
            _index_in(planned_tiles, scored_tiles)
            for planned_tiles, scored_tiles in zip(planned, self.scales, strict=True)
        ]

    def heat_map(self, values: NDArray[np.floating], scale: int) -> HeatMap:
        """Return a map of one scale.

        Parameters
        ----------
        values
            ``(n,)``, of all tiles; NaN leaves a place empty.
        scale
            Number of the scale.
        """
        tiles = self.scales[scale]
        builder = HeatMapBuilder(tiles.grid)
        builder.add(tiles.columns, tiles.rows, np.asarray(values)[self.rows_of(scale)])
        return builder.heat_map()


def _index_in(planned: ScaleTiles, scored: ScaleTiles) -> NDArray[np.int64]:
    place, sought = _places(planned), _places(scored)
    order = np.argsort(place, kind="stable")
    return np.asarray(order[np.searchsorted(place, sought, sorter=order)], dtype=np.int64)


def _places(tiles: ScaleTiles) -> NDArray[np.int64]:
    """Return a number of each tile: of its cell, or, where others may be near it, of its corner."""
    if isinstance(tiles, PlacedTiles):
        column, row, wide = tiles.x, tiles.y, tiles.grid.area.right
    else:
        column, row, wide = tiles.columns, tiles.rows, tiles.grid.columns
    return row.astype(np.int64) * (np.int64(wide) + 1) + column


def unit_length(embeddings: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return embeddings ``(n, d)`` in float32, of length 1 again after they were rounded."""
    exact = embeddings.astype(np.float32)
    if exact.ndim != 2 or not np.isfinite(exact).all():
        raise ValueError("embeddings are no matrix of numbers")
    length = np.linalg.norm(exact, axis=1, keepdims=True)
    return np.asarray(exact / np.maximum(length, np.finfo(np.float32).tiny), dtype=np.float32)
