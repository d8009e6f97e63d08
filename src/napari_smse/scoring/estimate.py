"""How long scoring will take, found out by scoring for two seconds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_smse.scoring.block_order import BlockOrder
from napari_smse.scoring.device import ComputeDevice, reading_threads
from napari_smse.scoring.pipeline import Pipeline
from napari_smse.scoring.progress import PROBE_S, Bottleneck
from napari_smse.slides import Slide
from napari_smse.tiles import TilePlan

if TYPE_CHECKING:
    from napari_smse.models import Model

_SEED = 0


@dataclass(frozen=True)
class TimeEstimate:
    """How long scoring a slide will take, and why.

    Parameters
    ----------
    tiles
        Number of tiles to score.
    rate
        Tiles per second.
    bottleneck
        Stage that limits that rate.
    """

    tiles: int
    rate: float
    bottleneck: Bottleneck | None

    @property
    def seconds(self) -> float:
        """Expected time for all tiles."""
        return self.tiles / self.rate if self.tiles else 0.0


def estimate(
    slide: Slide,
    model: Model,
    plan: TilePlan,
    device: ComputeDevice | Sequence[ComputeDevice],
    *,
    threads: int = 1,
    readers: int | None = None,
    seconds: float = PROBE_S,
) -> TimeEstimate:
    """Score blocks from all over a slide for a while, store nothing, and return the throughput.

    Parameters
    ----------
    slide, model, plan, device, threads, readers
        As for `score`.
    seconds
        Time to measure for, from the first batch on; less if the slide is done sooner.

    Raises
    ------
    DamagedSlideError, DeviceError
        As `score` would.
    """
    # In any order, as neighbours are alike: thin tissue, or a drive's cached files.
    blocks = np.random.default_rng(_SEED).permutation(len(plan.blocks)).tolist()
    devices = [device] if isinstance(device, ComputeDevice) else list(device)
    order = BlockOrder(plan, blocks)
    readers = reading_threads(devices) if readers is None else readers
    pipeline = Pipeline(slide, model, plan, order, devices, threads=threads, readers=readers)
    began = first = time.monotonic()
    tiles = of_first = 0
    running = pipeline.run()
    for batch in running:
        now = time.monotonic()
        if batch is not None:
            tiles += len(batch.places)
            if not of_first:
                # The first batch waits for memory, threads and files, and later ones do not.
                first, of_first = now, tiles
        if tiles > of_first and now - first >= seconds:
            break
    bottleneck = pipeline.times.bottleneck()
    ended = time.monotonic()
    running.close()
    if tiles == of_first:
        return TimeEstimate(plan.tile_count, tiles / max(ended - began, 1e-9), bottleneck)
    return TimeEstimate(plan.tile_count, (tiles - of_first) / max(ended - first, 1e-9), bottleneck)
