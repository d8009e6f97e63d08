"""How much of the pace of reading is left when tiles go on to a network that takes no time?

    .venv/bin/python -m benchmarks.scoring.reading_threads [--tiles 6000] [--rounds 3]

Beside a fast GPU reading sets the pace. A part of the composed slide is read by 1, 2 and 4 threads
alone, and by as many in a run whose network answers at once, in turn. Ratio to quote: end to end /
reading alone, at least 0.9.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.large_slide import compose
from benchmarks.scoring.engine import seconds, square_with
from napari_smse.models import Model, load_model
from napari_smse.scoring import (
    ComputeDevice,
    ScoreRequest,
    choose_device,
    open_run,
    pipeline,
    read_block,
    score,
)
from napari_smse.scoring.runtimes.base import Prediction
from napari_smse.slides import Slide, open_slide
from napari_smse.tiles import TilePlan, find_tissue
from napari_smse.tiles.appearance import appearance_features

THREADS = (1, 2, 4)


class InstantClassifier:
    """Stands for a network on a device that is never waited for."""

    def __init__(self, model: Model, device: ComputeDevice, threads: int) -> None:
        self._classes, self._width = len(model.card.classes), model.card.embedding_dim

    def clone(self) -> InstantClassifier:
        """Return itself, as it keeps nothing."""
        return self

    def __call__(self, tiles: NDArray[np.uint8]) -> Prediction:
        """Answer at once."""
        embedding = np.zeros((len(tiles), self._width), np.float32)
        embedding[:, 0] = 1
        return np.full((len(tiles), self._classes), 1 / self._classes, np.float32), embedding


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tiles", type=int, default=6000, help="about this many")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    model, device = load_model(), choose_device("cpu")
    setattr(pipeline, "TileClassifier", InstantClassifier)  # noqa: B010 (of no public name)
    print(f"{os.cpu_count()} cores; tiles a second: alone, end to end, ratio")
    with open_slide(compose()) as slide:
        mask = find_tissue(slide)
        request = ScoreRequest((0.5,), roi=square_with(slide, mask, options.tiles))
        plan = request.plan(slide, model.card, mask)
        for threads in THREADS:
            rounds = [
                (read_alone(slide, plan, threads), end_to_end(slide, model, plan, device, threads))
                for _ in range(options.rounds)
            ]
            alone, whole = (statistics.median(side) for side in zip(*rounds, strict=True))
            ratio = statistics.median(one[1] / one[0] for one in rounds)
            print(f"{threads} threads: {alone:.0f}, {whole:.0f}, {ratio:.2f}", flush=True)


def read_alone(slide: Slide, plan: TilePlan, threads: int) -> float:
    """Tiles a second that so many threads read and measure the appearance of."""

    def read(number: int) -> int:
        return len(appearance_features(read_block(slide, plan, plan.blocks[number])))

    with ThreadPoolExecutor(threads) as pool:
        taken = seconds(lambda: list(pool.map(read, range(len(plan.blocks)))))
    return plan.tile_count / taken


def end_to_end(
    slide: Slide, model: Model, plan: TilePlan, device: ComputeDevice, threads: int
) -> float:
    """Tiles a second of a run, from the slide to the store."""
    folder = Path(tempfile.mkdtemp())
    request = ScoreRequest((0.5,))
    store = open_run(folder / "scores.zarr", slide, model.card, request, plan, device)
    running = score(slide, model, plan, store, device, threads=2, readers=threads)
    taken = seconds(lambda: list(running))
    shutil.rmtree(folder)
    return plan.tile_count / taken


if __name__ == "__main__":
    main()
