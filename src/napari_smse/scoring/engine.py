"""Score the tiles of a slide: read, classify, store, and tell how far it is."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_smse.scoring.device import ComputeDevice
from napari_smse.scoring.inference import TileClassifier
from napari_smse.scoring.store import ScoreStore
from napari_smse.slides import Slide
from napari_smse.tiles import ReadBlock, TilePlan

if TYPE_CHECKING:
    from napari_smse.network import Model

_PATIENCE = 0.25
"""Longest silence while a read is awaited, seconds: a cancel acts at the next word."""

_READ_AHEAD = 2
"""Blocks held ready for each reading thread."""


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
    device: ComputeDevice,
    *,
    threads: int = 1,
    readers: int = 2,
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
        Where the network runs.
    threads
        CPU threads for the network.
    readers
        Threads that read the slide.

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
    classify = TileClassifier(model, device, threads)
    todo = [int(number) for number in np.flatnonzero(~store.blocks_done())]
    group = _Group(plan)
    with ThreadPoolExecutor(readers, thread_name_prefix="read-slide") as pool:
        try:
            for ready in _read_ahead(pool, slide, plan, todo, readers * _READ_AHEAD):
                if ready is None:
                    yield clock.tell(())
                    continue
                number, tiles = ready
                group.add(number, tiles)
                if group.tile_count >= device.batch_size or number == todo[-1]:
                    for scores in group.classify(classify, device.batch_size):
                        yield clock.tell(scores)
                    group.write(store)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    if not store.complete:
        store.finish(seconds=round(clock.elapsed, 3))


def _read_ahead(
    pool: ThreadPoolExecutor,
    slide: Slide,
    plan: TilePlan,
    todo: Sequence[int],
    ahead: int,
) -> Iterator[tuple[int, NDArray[np.uint8]] | None]:
    """Blocks in order, a few being read in advance; None whenever one is waited for."""
    waiting = iter(todo)
    pending: deque[tuple[int, Future[NDArray[np.uint8]]]] = deque()
    while True:
        while len(pending) < ahead and (number := next(waiting, None)) is not None:
            pending.append((number, pool.submit(read_block, slide, plan, plan.blocks[number])))
        if not pending:
            return
        number, future = pending[0]
        # Asking first: a TimeoutError of result() could be that of the read itself.
        if not wait([future], timeout=_PATIENCE).done:
            yield None
            continue
        pending.popleft()
        yield number, future.result()


def read_block(slide: Slide, plan: TilePlan, block: ReadBlock) -> NDArray[np.uint8]:
    """Read the tiles of a block, those of all its scales from the same pixels.

    Returns
    -------
    (n, tile_px, tile_px, 3), in the order of the block's members
    """
    window = slide.window(block.region, block.mpp)
    tiles = []
    for scale, start, stop in block.members:
        size = plan.scales[scale].grid.spec.size_px
        for index in range(start, stop):
            tiles.append(window.crop(plan.scales[scale].region(index), (size, size)))
    return np.stack(tiles)


@dataclass
class _Group:
    """Blocks that are classified and stored together, so that batches are full."""

    plan: TilePlan
    numbers: list[int] = field(default_factory=list)
    tiles: list[NDArray[np.uint8]] = field(default_factory=list)
    tile_count: int = 0
    _probability: list[NDArray[np.float32]] = field(default_factory=list)
    _embedding: list[NDArray[np.float32]] = field(default_factory=list)

    def add(self, number: int, tiles: NDArray[np.uint8]) -> None:
        self.numbers.append(number)
        self.tiles.append(tiles)
        self.tile_count += len(tiles)

    def classify(
        self, classify: TileClassifier, batch_size: int
    ) -> Iterator[tuple[TileScores, ...]]:
        """Classify in batches of about equal size, giving the scores of each."""
        scale, index = self._places()
        batches = math.ceil(self.tile_count / batch_size)
        tiles = np.concatenate(self.tiles)
        for rows in np.array_split(np.arange(self.tile_count), batches):
            probability, embedding = classify(tiles[rows])
            self._probability.append(probability)
            self._embedding.append(embedding)
            yield tuple(
                TileScores(int(s), index[rows[at]], probability[at])
                for s in np.unique(scale[rows])
                if (at := np.flatnonzero(scale[rows] == s)).size
            )

    def _places(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Scale and index of every tile, in the order they were read."""
        members = [m for number in self.numbers for m in self.plan.blocks[number].members]
        scale = np.concatenate([np.full(stop - start, s) for s, start, stop in members])
        index = np.concatenate([np.arange(start, stop) for _, start, stop in members])
        return scale, index

    def write(self, store: ScoreStore) -> None:
        """Store the rows, then count the blocks as done, and start anew."""
        probability, embedding = np.concatenate(self._probability), np.concatenate(self._embedding)
        row = 0
        for number in self.numbers:
            for scale, start, stop in self.plan.blocks[number].members:
                rows = slice(row, row + stop - start)
                store.write_rows(scale, start, probability[rows], embedding[rows])
                row = rows.stop
        store.mark_done(self.numbers)
        for gathered in (self.numbers, self.tiles, self._probability, self._embedding):
            gathered.clear()
        self.tile_count = 0


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
