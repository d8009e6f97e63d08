"""Whole blocks on their way to a store."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import ChangedSlideError
from napari_smse.scoring.pipeline import BlockScores
from napari_smse.scoring.store import ScoreStore
from napari_smse.slides import Slide
from napari_smse.tiles import TilePlan

_WRITE_EVERY_S = 1.0
"""A write costs 10 ms; what was not written is lost if the program is killed."""


@dataclass
class BlockWriter:
    """Writes complete blocks to a store, those of about a second at once.

    Parameters
    ----------
    plan, store
        The tiles that are scored, and the store that results go to.
    slide
        Slide that the blocks are read from; if it changes meanwhile, nothing is stored.
    """

    plan: TilePlan
    store: ScoreStore
    slide: Slide | None = None
    _blocks: list[BlockScores] = field(default_factory=list)
    _written: float = -_WRITE_EVERY_S

    def add(self, blocks: Sequence[BlockScores]) -> None:
        """Take blocks in, and write what has gathered if it is time.

        Raises
        ------
        OutputError
            If they cannot be written.
        ChangedSlideError
            If the slide is another one by now; the store then holds nothing any more.
        """
        self._blocks += blocks
        if self._blocks and time.monotonic() - self._written >= _WRITE_EVERY_S:
            self.write()

    def write(self) -> None:
        """Write the rows, then count the blocks as done; raises as `add` does."""
        if self._blocks:
            # What was read before this moment was read from the slide that was opened.
            self.confirm()
        for scale, parts in self._by_scale().items():
            rows, *scores = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
            order = np.argsort(rows)
            self.store.write_rows(scale, rows[order], *(array[order] for array in scores))
        if self._blocks:
            self.store.mark_done([block.number for block in self._blocks])
        self._blocks.clear()
        self._written = time.monotonic()

    def _by_scale(self) -> dict[int, list[tuple[NDArray[Any], ...]]]:
        """Rows of each scale, with their probability, embedding and appearance, block by block."""
        parts: dict[int, list[tuple[NDArray[Any], ...]]] = defaultdict(list)
        for block in self._blocks:
            row = 0
            for scale, start, stop in self.plan.blocks[block.number].members:
                of = slice(row, row + stop - start)
                arrays = (block.probability[of], block.embedding[of], block.appearance[of])
                parts[scale].append((np.arange(start, stop), *arrays))
                row = of.stop
        return parts

    def confirm(self, *, content: bool = False) -> None:
        """Forget everything if the slide is another one than was opened.

        Parameters
        ----------
        content
            Compare its quick hash, too.

        Raises
        ------
        ChangedSlideError
            It is another one.
        SlideError
            It cannot be read.
        """
        if self.slide is None:
            return
        try:
            self.slide.require_unchanged(content=content)
        except ChangedSlideError:
            self._blocks.clear()
            self.store.forget()
            raise
