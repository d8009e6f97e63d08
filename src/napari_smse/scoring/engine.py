"""Score the tiles of a slide: read, classify, store, and tell how far it is."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_smse.scoring.device import ComputeDevice
from napari_smse.scoring.pipeline import BatchScores, BlockScores, Pipeline
from napari_smse.scoring.reading_order import ReadingOrder, Viewport
from napari_smse.scoring.store import ScoreStore
from napari_smse.slides import Slide
from napari_smse.tiles import TilePlan

if TYPE_CHECKING:
    from napari_smse.network import Model

_WRITE_EVERY_S = 1.0
"""A write costs 10 ms; what was not written is lost if the program is killed."""


@dataclass(frozen=True)
class TileScores:
    """New results of one scale.

    Parameters
    ----------
    scale
        Number of the scale in the plan.
    index
        Which of its tiles, (n,).
    probability
        (n, classes).
    """

    scale: int
    index: NDArray[np.int64]
    probability: NDArray[np.float32]


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Parameters
    ----------
    done, total
        Tiles scored so far and in all.
    rate
        Tiles per second since the run began; 0 before the first.
    seconds_left
        Expected time to the end; None before the first tile.
    scores
        What is new since the last progress.
    """

    done: int
    total: int
    rate: float = 0.0
    seconds_left: float | None = None
    scores: tuple[TileScores, ...] = ()


def score(
    slide: Slide,
    model: Model,
    plan: TilePlan,
    store: ScoreStore,
    device: ComputeDevice | Sequence[ComputeDevice],
    *,
    threads: int = 1,
    readers: int = 2,
    viewport: Viewport | None = None,
) -> Iterator[Progress]:
    """Score what a store does not hold yet.

    Close the generator to cancel: blocks already stored stay, and a later call
    with the same store goes on from there.

    Parameters
    ----------
    slide, model, plan
        What to score with what.
    store
        Made for this plan; results go there block by block.
    device
        Where the network runs; several share the tiles.
    threads
        CPU cores for the network.
    readers
        Threads that read the slide; with 0, everything happens in the caller's thread.
    viewport
        What is looked at: its tiles come first. It may change while this runs.

    Yields
    ------
    Progress
        After every batch, and at least every 0.3 s while reading. The first
        one carries what an earlier run already stored.

    Raises
    ------
    DamagedSlideError
        If the slide cannot be read; what was scored before stays.
    OutputError
        If results cannot be written.
    """
    clock = _Clock(plan.tile_count)
    yield clock.tell(_stored_scores(plan, store), resumed=True)
    todo = np.flatnonzero(~store.blocks_done()).tolist()
    order = ReadingOrder(plan, todo, viewport)
    devices = [device] if isinstance(device, ComputeDevice) else list(device)
    pipeline = Pipeline(slide, model, plan, order, devices, threads=threads, readers=readers)
    keeper = _Keeper(plan, store)
    try:
        for batch in pipeline.run():
            if batch is None:
                yield clock.tell(())
                continue
            keeper.keep(batch.whole)
            yield clock.tell(tuple(_by_scale(plan, batch)))
    finally:
        # Also after a cancel, or when the slide breaks: what is whole is kept.
        keeper.write()
    if not store.complete:
        store.finish(seconds=round(clock.elapsed, 3))


@dataclass
class _Keeper:
    """Writes whole blocks to the store, those of about a second at once."""

    plan: TilePlan
    store: ScoreStore
    _blocks: list[BlockScores] = field(default_factory=list)
    _written: float = -_WRITE_EVERY_S

    def keep(self, blocks: Sequence[BlockScores]) -> None:
        self._blocks += blocks
        if self._blocks and time.monotonic() - self._written >= _WRITE_EVERY_S:
            self.write()

    def write(self) -> None:
        """Write the rows, then count the blocks as done."""
        for block in self._blocks:
            row = 0
            for scale, start, stop in self.plan.blocks[block.number].members:
                rows = slice(row, row + stop - start)
                self.store.write_rows(scale, start, block.probability[rows], block.embedding[rows])
                row = rows.stop
        if self._blocks:
            self.store.mark_done([block.number for block in self._blocks])
        self._blocks.clear()
        self._written = time.monotonic()


def _by_scale(plan: TilePlan, batch: BatchScores) -> Iterator[TileScores]:
    """Sort a batch's answers by scale."""
    tiles = np.array([plan.blocks[number].tile(row) for number, row in batch.places.tolist()])
    for scale in np.unique(tiles[:, 0]):
        at = tiles[:, 0] == scale
        yield TileScores(int(scale), tiles[at, 1], batch.probability[at])


@dataclass
class _Clock:
    """Counts tiles and time."""

    total: int
    done: int = 0
    scored: int = 0
    _began: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._began

    def tell(self, scores: tuple[TileScores, ...], *, resumed: bool = False) -> Progress:
        new = sum(len(s.index) for s in scores)
        self.done += new
        self.scored += 0 if resumed else new
        rate = self.scored / max(self.elapsed, 1e-9)
        left = (self.total - self.done) / rate if rate else None
        return Progress(self.done, self.total, rate, left, scores)


def _stored_scores(plan: TilePlan, store: ScoreStore) -> tuple[TileScores, ...]:
    """What the store's finished blocks already hold."""
    done = store.blocks_done()
    found = []
    for scale in range(len(plan.scales)):
        ranges = [
            np.arange(start, stop)
            for number in np.flatnonzero(done)
            for s, start, stop in plan.blocks[number].members
            if s == scale
        ]
        if ranges:
            index = np.concatenate(ranges)
            found.append(TileScores(scale, index, store.scale(scale).probability[index]))
    return tuple(found)
