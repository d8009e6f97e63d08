"""What is the scoring engine's pace, and which of its stages sets it?

    .venv/bin/python -m benchmarks.scoring.engine [--tiles 4000] [--rounds 3] [--out figures.json]

A part of the composed slide (`large_slide.py`) is read alone, classified alone and scored from
end to end, in turn, so that what else the machine does counts for all. The network alone is
measured by every runtime that is installed. Ratios are what to quote:

- end to end / the slowest stage alone: at least 0.9;
- the network as it is run / the best runtime that keeps probabilities within 0.01: at least 0.95;
- reading for 0.5 and 1.0 um/px / reading for 0.5 alone: at most 1.3.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import shapely

from benchmarks.large_slide import compose
from napari_smse.models import Model, load_model
from napari_smse.scoring import (
    ComputeDevice,
    ScoreRequest,
    choose_device,
    open_run,
    read_block,
    score,
    select_runtime,
)
from napari_smse.scoring.runtimes.selection import fastest_within_tolerance, measure
from napari_smse.scoring.tile_classifier import TileClassifier
from napari_smse.slides import Slide, open_slide
from napari_smse.tiles import TilePlan, TissueMask, find_tissue

THREADS = os.cpu_count() or 1
FINE, BOTH = (0.5,), (0.5, 1.0)
EDGE_PX = 224
LIMITS = {
    "end to end / slowest stage alone": 0.9,
    "network / best runtime": 0.95,
    "reading two scales / one": 1.3,
}


def main() -> None:
    """Measure, print the tables, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiles", type=int, default=4000, help="about this many")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="also write the figures there")
    options = parser.parse_args()
    model = load_model()
    runtimes = measure(choose_device("cpu"), model, 1)
    device = select_runtime(choose_device("cpu"), model)
    with open_slide(compose()) as slide:
        work = Work(slide, model, device, options.tiles)
        rounds = [work.round() for _ in range(options.rounds)]
    median = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    chosen = next(
        s for s in runtimes if (s.runtime, s.precision) == (device.runtime, device.precision)
    )
    ratios = {
        "end to end / slowest stage alone": statistics.median(
            one["end to end"] / min(one["reading 0.5"], one["network"]) for one in rounds
        ),
        "network / best runtime": chosen.tiles_per_s
        / fastest_within_tolerance(runtimes).tiles_per_s,
        # Seconds for the same tissue, so tiles a second of the fine scale only.
        "reading two scales / one": statistics.median(
            one["reading 0.5"] / one["reading 0.5 and 1.0, of 0.5"] for one in rounds
        ),
    }
    print(f"{device.how}, {THREADS} threads, {len(work.plan.blocks)} blocks")
    for speed in runtimes:
        way = f"{speed.runtime} {speed.precision}, one core"
        print(f"  {way:32} {speed.tiles_per_s:7.1f} tiles/s, off by {speed.deviation:.4f}")
    for name, rate in median.items():
        print(f"{name:34} {rate:7.1f} tiles/s")
    for name, ratio in ratios.items():
        print(f"{name:34} {ratio:7.2f} (limit {LIMITS[name]})")
    if options.out:
        figures = {"ratios": ratios, "tiles/s": median, "rounds": rounds, "device": device.how}
        options.out.write_text(json.dumps(figures, indent=2) + "\n")


class Work:
    """The same tiles for every measurement."""

    def __init__(self, slide: Slide, model: Model, device: ComputeDevice, tiles: int) -> None:
        self._slide, self._model, self._device = slide, model, device
        mask = find_tissue(slide)
        roi = square_with(slide, mask, tiles)
        self.plan = ScoreRequest(FINE, roi=roi).plan(slide, model.card, mask)
        self._both = ScoreRequest(BOTH, roi=roi).plan(slide, model.card, mask)
        self._request, self._mask = ScoreRequest(FINE, roi=roi), mask
        self._some = read_block(slide, self.plan, self.plan.blocks[0])
        # What lies in the cache of the operating system is there for all from now on.
        self._read(self._both)

    def round(self) -> dict[str, float]:
        """Tiles a second of every stage, alone and together."""
        tiles = self.plan.tile_count
        fine_of_both = len(self._both.scales[0])
        return {
            "reading 0.5": tiles / seconds(lambda: self._read(self.plan)),
            "reading 0.5 and 1.0, of 0.5": fine_of_both / seconds(lambda: self._read(self._both)),
            "network": self._network(),
            "end to end": tiles / seconds(self._score),
        }

    def _read(self, plan: TilePlan) -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            for _ in pool.map(lambda block: len(read_block(self._slide, plan, block)), plan.blocks):
                pass

    def _network(self) -> float:
        """Each core classifies batches of its own, as in a run."""
        first = TileClassifier(self._model, self._device, 1)
        each = [first, *(first.clone() for _ in range(THREADS - 1))]
        batch = self._some[: self._device.batch_size]
        batches = max(4, self.plan.tile_count // len(batch) // THREADS // 2)

        def classify(classifier: TileClassifier) -> None:
            for _ in range(batches):
                classifier(batch)

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda one: one(batch), each))
            taken = seconds(lambda: list(pool.map(classify, each)))
        return THREADS * batches * len(batch) / taken

    def _score(self) -> None:
        folder = Path(tempfile.mkdtemp())
        store = open_run(
            folder / "scores.zarr",
            self._slide,
            self._model.card,
            self._request,
            self.plan,
            self._device,
        )
        for _ in score(self._slide, self._model, self.plan, store, self._device, threads=THREADS):
            pass
        assert store.complete
        assert np.isfinite(store.scale(0).probability).all()
        shutil.rmtree(folder)


def square_with(slide: Slide, mask: TissueMask, tiles: int) -> shapely.Polygon:
    """A square in the middle of the first piece of tissue that holds about this many tiles."""
    edge = EDGE_PX * FINE[0] / slide.mpp * tiles**0.5
    rows, columns = np.nonzero(mask.tissue[: mask.tissue.shape[0] // 2])
    cell_width, cell_height = mask.cell
    first = columns < mask.tissue.shape[1] // 3
    x, y = columns[first].mean() * cell_width, rows[first].mean() * cell_height
    return shapely.box(x - edge / 2, y - edge / 2, x + edge / 2, y + edge / 2)


def seconds(work: Callable[[], object]) -> float:
    """How long something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
