"""Score the tiles of a slide: read, classify, store, and report progress."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_smse.scoring.block_order import BlockOrder, Viewport
from napari_smse.scoring.block_writer import BlockWriter
from napari_smse.scoring.device import ComputeDevice, reading_threads
from napari_smse.scoring.pipeline import BatchScores, Pipeline
from napari_smse.scoring.progress import ScoringProgress, ThroughputMeter, TileScores
from napari_smse.scoring.store import ScoreStore
from napari_smse.scoring.uncertainty_order import UncertaintyOrder
from napari_smse.slides import Slide
from napari_smse.tiles import TilePlan

if TYPE_CHECKING:
    from napari_smse.models import Model


def score(
    slide: Slide,
    model: Model,
    plan: TilePlan,
    store: ScoreStore,
    device: ComputeDevice | Sequence[ComputeDevice],
    *,
    threads: int = 1,
    readers: int | None = None,
    viewport: Viewport | None = None,
    seconds: float | None = None,
) -> Generator[ScoringProgress, None, None]:
    """Score what a store does not hold yet.

    Close the generator to cancel: blocks already stored stay, and a later call
    with the same store goes on from there.

    Parameters
    ----------
    slide, model, plan
        The slide, the network, and the tiles to score.
    store
        Store of this plan; results go there block by block.
    device
        Device to run the network on; several share the tiles.
    threads
        CPU cores for the network.
    readers
        Threads that read the slide, by default as many as the devices need (`reading_threads`);
        with 0, everything happens in the caller's thread.
    viewport
        What the viewer shows: its tiles come first. It may change while this runs.
    seconds
        time to spend on a plan with a coarse pass, which itself is never cut short; after it comes
        what is most uncertain. Without, everything is scored.

    Yields
    ------
    ScoringProgress
        After every batch, and at least every 0.3 s while reading. The first
        one carries what an earlier run already stored.

    Raises
    ------
    DamagedSlideError
        If the slide cannot be read; what was scored before stays.
    ChangedSlideError
        If the file was replaced or written to since it was opened; nothing stays of a mixture.
    OutputError
        If results cannot be written.
    """
    slide.require_unchanged()
    deadline = None if seconds is None else time.monotonic() + seconds
    meter = ThroughputMeter(plan.tile_count, deadline)
    stored = _stored_scores(plan, store)
    yield meter.resume(stored)
    plan = plan.without(store.known_scales)
    todo = np.flatnonzero(~store.blocks_done()).tolist()
    order = _order(plan, todo, viewport, deadline)
    order.update(stored)
    devices = [device] if isinstance(device, ComputeDevice) else list(device)
    readers = reading_threads(devices) if readers is None else readers
    pipeline = Pipeline(slide, model, plan, order, devices, threads=threads, readers=readers)
    writer = BlockWriter(plan, store, slide)
    try:
        for batch in pipeline.run():
            if batch is None:
                yield meter.advance((), pipeline.times.bottleneck())
                continue
            writer.add(batch.completed)
            scores = tuple(_by_scale(plan, batch))
            order.update(scores)
            yield meter.advance(scores, pipeline.times.bottleneck())
    finally:
        # Also after a cancel, or when the slide breaks: complete blocks are kept.
        writer.write()
    if not store.complete:
        writer.confirm(content=True)
        store.finish(complete=len(order) == 0, seconds=round(meter.elapsed, 3))


def _order(
    plan: TilePlan, todo: Sequence[int], viewport: Viewport | None, deadline: float | None
) -> BlockOrder:
    if all(block.coarse_first for block in plan.blocks):
        return BlockOrder(plan, todo, viewport)
    return UncertaintyOrder(plan, todo, viewport, deadline)


def _by_scale(plan: TilePlan, batch: BatchScores) -> Iterator[TileScores]:
    """Sort the scores of a batch by scale."""
    tiles = np.array([plan.blocks[number].tile(row) for number, row in batch.places.tolist()])
    for scale in np.unique(tiles[:, 0]):
        at = tiles[:, 0] == scale
        yield TileScores(int(scale), tiles[at, 1], batch.probability[at])


def _stored_scores(plan: TilePlan, store: ScoreStore) -> tuple[TileScores, ...]:
    """What the store's finished blocks already hold, and what it took over."""
    done, known = np.flatnonzero(store.blocks_done()), store.known_scales
    scores = []
    for scale, tiles in enumerate(plan.scales):
        ranges = [
            np.arange(start, stop)
            for number in done
            for s, start, stop in plan.blocks[number].members
            if s == scale
        ]
        if scale in known:
            ranges = [np.arange(len(tiles))]
        if ranges:
            index = np.concatenate(ranges)
            scores.append(TileScores(scale, index, store.scale(scale).probability[index]))
    return tuple(scores)
