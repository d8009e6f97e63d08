"""Where to look more closely: where the call is unsure, or scales disagree."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.scoring.block_order import BlockOrder, Viewport, seen
from napari_smse.scoring.progress import TileScores
from napari_smse.tiles import ScaleTiles, TilePlan

_MOST_CELLS = 1024
"""Along a side: doubt is a matter of regions, not of pixels."""

_LOOK_AGAIN_S = 1.0
_NOT_SEEN: Final = 1.0
"""Doubt where no scale has said anything yet."""


class UncertaintyOrder(BlockOrder):
    """Hands out all blocks of the first look, then the others, most doubtful first.

    Parameters
    ----------
    plan
        A plan whose first look is apart.
    todo
        Numbers of the blocks to hand out.
    viewport
        What is looked at: its blocks come before others in either part.
    deadline
        When to end, as `time.monotonic` counts. The first look is never cut short.
    """

    def __init__(
        self,
        plan: TilePlan,
        todo: Sequence[int],
        viewport: Viewport | None = None,
        deadline: float | None = None,
    ) -> None:
        first = [number for number in todo if plan.blocks[number].first_look]
        super().__init__(plan, first, viewport)
        self._later = np.asarray(sorted(set(todo) - set(first)), dtype=np.int64)
        self._deadline = deadline
        self._doubts = UncertaintyMap(plan)
        self._ranked_at = -_LOOK_AGAIN_S
        self._doubt = np.zeros(len(plan.blocks))

    def __len__(self) -> int:
        """How many blocks are left, in time or not."""
        return super().__len__() + len(self._later)

    def learn(self, scores: Sequence[TileScores]) -> None:
        """Take in results: they tell where to look next."""
        self._doubts.learn(scores)

    def next(self) -> int | None:
        """Return the number of the next block; None when all were handed out or time is up."""
        if super().__len__():
            return super().next()
        now = time.monotonic()
        if not len(self._later) or (self._deadline is not None and now >= self._deadline):
            return None
        if now - self._ranked_at >= _LOOK_AGAIN_S:
            self._doubt, self._ranked_at = self._doubts.of_blocks(), now
        unseen = ~seen(self._boxes[self._later], self._viewport.region)
        place = int(np.lexsort((-self._doubt[self._later], unseen))[0])
        number = int(self._later[place])
        self._later = np.delete(self._later, place)
        return number


class UncertaintyMap:
    """What scales have said of each place so far, and how far that can be doubted.

    Doubt is 1 minus the margin between the two likeliest classes of the mean over scales, plus
    how far scales disagree: the widest range of any class's probability. It is 0 where all are
    sure of the same, at most 2, and 1 where nothing was said yet.

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
        self._cell = max(step, longest / _MOST_CELLS)
        self._shape = (
            int(self._area.height // self._cell) + 1,
            int(self._area.width // self._cell) + 1,
        )
        self._said: NDArray[np.float32] | None = None
        self._cells = [self._centre_cells(tiles) for tiles in plan.scales]

    def learn(self, scores: Sequence[TileScores]) -> None:
        """Take in what was said of some tiles."""
        for part in scores:
            said = self._said_by_scale(part.probability.shape[1])[part.scale]
            tiles = self._plan.scales[part.scale].take(part.index)
            top, bottom = self._spans(tiles.y - self._area.y, tiles.height, self._shape[0])
            left, right = self._spans(tiles.x - self._area.x, tiles.width, self._shape[1])
            sides = zip(top, bottom, left, right, strict=True)
            for (y0, y1, x0, x1), probability in zip(sides, part.probability, strict=True):
                said[y0:y1, x0:x1] = probability

    def of_places(self) -> NDArray[np.float32]:
        """Return the doubt of each cell, (rows, columns)."""
        if self._said is None:
            return np.full(self._shape, _NOT_SEEN, dtype=np.float32)
        known = ~np.isnan(self._said[..., 0])
        count = known.sum(axis=0)[..., None]
        said = np.where(known[..., None], self._said, 0)
        mean = said.sum(axis=0) / np.maximum(count, 1)
        likeliest = np.sort(mean, axis=-1)
        highest = np.where(known[..., None], self._said, -np.inf).max(axis=0)
        lowest = np.where(known[..., None], self._said, np.inf).min(axis=0)
        margin = likeliest[..., -1] - likeliest[..., -2]
        doubt = 1 - margin + np.where(count > 0, highest - lowest, 0).max(axis=-1)
        return np.where(count[..., 0] > 0, doubt, _NOT_SEEN).astype(np.float32)

    def of_blocks(self) -> NDArray[np.float64]:
        """Return the mean doubt over the tiles of each block, (blocks,)."""
        doubt = self.of_places()
        means = [
            np.concatenate(
                [
                    doubt[tuple(self._cells[scale][:, start:stop])]
                    for scale, start, stop in block.members
                ]
            ).mean()
            for block in self._plan.blocks
        ]
        return np.array(means, dtype=np.float64)

    def _said_by_scale(self, classes: int) -> NDArray[np.float32]:
        if self._said is None:
            shape = (len(self._plan.scales), *self._shape, classes)
            self._said = np.full(shape, np.nan, dtype=np.float32)
        return self._said

    def _centre_cells(self, tiles: ScaleTiles) -> NDArray[np.intp]:
        """Row and column of the cell in the middle of each tile, (2, n)."""
        row = (tiles.y + tiles.height / 2 - self._area.y) // self._cell
        column = (tiles.x + tiles.width / 2 - self._area.x) // self._cell
        most = np.array(self._shape)[:, None] - 1
        return np.clip(np.stack([row, column]), 0, most).astype(np.intp)

    def _spans(
        self, start: NDArray[np.int32], length: NDArray[np.int32], most: int
    ) -> tuple[list[int], list[int]]:
        """First and past-last cell of what tiles cover, at least one."""
        first = np.clip((start / self._cell).round(), 0, most - 1).astype(int)
        last = np.clip(((start + length) / self._cell).round().astype(int), first + 1, most)
        return first.tolist(), last.tolist()
