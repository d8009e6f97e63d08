"""The order of the second pass: where the call is uncertain, or scales disagree, first."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.scoring.block_order import BlockOrder, Viewport, visible
from napari_smse.scoring.progress import TileScores
from napari_smse.tiles import ScaleTiles, TilePlan

_MAX_CELLS = 1024
"""Along a side: uncertainty is a matter of regions, not of pixels."""

_RANK_EVERY_S = 1.0
_UNSCORED: Final = 1.0
"""Uncertainty where no scale has been scored yet."""


class UncertaintyOrder(BlockOrder):
    """Hands out all blocks of the coarse pass, then the others, the most uncertain first.

    Parameters
    ----------
    plan
        A plan whose coarse pass is apart.
    todo
        Numbers of the blocks to hand out.
    viewport
        Part that the viewer shows: its blocks come before others in either part.
    deadline
        When to end, as `time.monotonic` counts. The coarse pass is never cut short.
    """

    def __init__(
        self,
        plan: TilePlan,
        todo: Sequence[int],
        viewport: Viewport | None = None,
        deadline: float | None = None,
    ) -> None:
        coarse = [number for number in todo if plan.blocks[number].coarse_first]
        super().__init__(plan, coarse, viewport)
        self._later = np.asarray(sorted(set(todo) - set(coarse)), dtype=np.int64)
        self._deadline = deadline
        self._map = UncertaintyMap(plan)
        self._ranked_at = -_RANK_EVERY_S
        self._uncertainty = np.zeros(len(plan.blocks))

    def __len__(self) -> int:
        """How many blocks are left, in time or not."""
        return super().__len__() + len(self._later)

    def update(self, scores: Sequence[TileScores]) -> None:
        """Take in results: they decide where to score next."""
        self._map.update(scores)

    def next(self) -> int | None:
        """Return the number of the next block; None when all were handed out or time is up."""
        if super().__len__():
            return super().next()
        now = time.monotonic()
        if not len(self._later) or (self._deadline is not None and now >= self._deadline):
            return None
        if now - self._ranked_at >= _RANK_EVERY_S:
            self._uncertainty, self._ranked_at = self._map.per_block(), now
        hidden = ~visible(self._boxes[self._later], self._viewport.region)
        place = int(np.lexsort((-self._uncertainty[self._later], hidden))[0])
        number = int(self._later[place])
        self._later = np.delete(self._later, place)
        return number


class UncertaintyMap:
    """The probabilities of each place at every scale so far, and how uncertain they are.

    Uncertainty is 1 minus the margin between the two likeliest classes of the mean over scales,
    plus how far scales disagree: the widest range of any class's probability. It is 0 where all
    are sure of the same, at most 2, and 1 where nothing was scored yet.

    Parameters
    ----------
    plan
        The tiles that are being scored.
    """

    def __init__(self, plan: TilePlan) -> None:
        self._plan = plan
        self._area = plan.scales[0].grid.area
        step = min(tiles.grid.spec.stride_level0 for tiles in plan.scales)
        longest = max(self._area.width, self._area.height)
        self._cell = max(step, longest / _MAX_CELLS)
        self._shape = (
            int(self._area.height // self._cell) + 1,
            int(self._area.width // self._cell) + 1,
        )
        self._probability: NDArray[np.float32] | None = None
        self._cells = [self._centre_cells(tiles) for tiles in plan.scales]

    def update(self, scores: Sequence[TileScores]) -> None:
        """Take in results."""
        for part in scores:
            scores_by_cell = self._probability_by_scale(part.probability.shape[1])[part.scale]
            tiles = self._plan.scales[part.scale].take(part.index)
            tops, bottoms = self._spans(tiles.y - self._area.y, tiles.height, self._shape[0])
            lefts, rights = self._spans(tiles.x - self._area.x, tiles.width, self._shape[1])
            sides = zip(tops, bottoms, lefts, rights, strict=True)
            for (y0, y1, x0, x1), probability in zip(sides, part.probability, strict=True):
                scores_by_cell[y0:y1, x0:x1] = probability

    def per_cell(self) -> NDArray[np.float32]:
        """Return the uncertainty of each cell, (rows, columns)."""
        if self._probability is None:
            return np.full(self._shape, _UNSCORED, dtype=np.float32)
        scored = ~np.isnan(self._probability[..., 0])
        count = scored.sum(axis=0)[..., None]
        probability = np.where(scored[..., None], self._probability, 0)
        mean = probability.sum(axis=0) / np.maximum(count, 1)
        likeliest = np.sort(mean, axis=-1)
        highest = np.where(scored[..., None], self._probability, -np.inf).max(axis=0)
        lowest = np.where(scored[..., None], self._probability, np.inf).min(axis=0)
        margin = likeliest[..., -1] - likeliest[..., -2]
        uncertainty = 1 - margin + np.where(count > 0, highest - lowest, 0).max(axis=-1)
        return np.where(count[..., 0] > 0, uncertainty, _UNSCORED).astype(np.float32)

    def per_block(self) -> NDArray[np.float64]:
        """Return the mean uncertainty over the tiles of each block, (blocks,)."""
        uncertainty = self.per_cell()
        means = [
            np.concatenate(
                [
                    uncertainty[tuple(self._cells[scale][:, start:stop])]
                    for scale, start, stop in block.members
                ]
            ).mean()
            for block in self._plan.blocks
        ]
        return np.array(means, dtype=np.float64)

    def _probability_by_scale(self, classes: int) -> NDArray[np.float32]:
        if self._probability is None:
            shape = (len(self._plan.scales), *self._shape, classes)
            self._probability = np.full(shape, np.nan, dtype=np.float32)
        return self._probability

    def _centre_cells(self, tiles: ScaleTiles) -> NDArray[np.intp]:
        """Row and column of the cell in the middle of each tile, (2, n)."""
        row = (tiles.y + tiles.height / 2 - self._area.y) // self._cell
        column = (tiles.x + tiles.width / 2 - self._area.x) // self._cell
        last = np.array(self._shape)[:, None] - 1
        return np.clip(np.stack([row, column]), 0, last).astype(np.intp)

    def _spans(
        self, start: NDArray[np.int32], length: NDArray[np.int32], cells: int
    ) -> tuple[list[int], list[int]]:
        """First and past-last cell of what tiles cover, at least one."""
        first = np.clip((start / self._cell).round(), 0, cells - 1).astype(int)
        last = np.clip(((start + length) / self._cell).round().astype(int), first + 1, cells)
        return first.tolist(), last.tolist()
