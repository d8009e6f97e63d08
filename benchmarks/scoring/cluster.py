"""How much faster are two worker processes than one, and what does the death of one change?

    .venv/bin/python -m benchmarks.scoring.cluster [--rounds 3] [--workers 2] [--out figures.json]

Workers of one thread each score a composed slide (`large_slide.py`) at two scales, in turns: one
worker, then several, and so on. They have read the network before, and what they are timed for is
what `napari-smse score --local-workers` does after the workers have started: from the first block
sent out to the last one stored. In a last round one of them is killed (SIGKILL) half-way. All must
give what one process gives, bit for bit, in float32.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from distributed import Client

from benchmarks.large_slide import compose
from napari_smse.cluster import ClusterJob, ClusterScoring, SlideWork, local_workers
from napari_smse.models import Model, load_model
from napari_smse.scoring import (
    ComputeDevice,
    ScoreRequest,
    ScoreStore,
    choose_device,
    open_run,
    score,
)
from napari_smse.slides import Slide, open_slide

WIDTH, HEIGHT = 12_000, 10_000
REQUEST = ScoreRequest((0.5, 1.0))


class Bench:
    """A slide, a network, and folders for what comes out."""

    def __init__(self, slide: Slide, model: Model, device: ComputeDevice) -> None:
        self.slide, self.model, self.device = slide, model, device
        self.plan = REQUEST.plan(slide, model.card)
        self._folder = Path(tempfile.mkdtemp())

    def store(self, name: str) -> ScoreStore:
        """An empty store."""
        return open_run(
            self._folder / f"{name}.zarr",
            self.slide,
            self.model.card,
            REQUEST,
            self.plan,
            self.device,
        )

    def here(self) -> ScoreStore:
        """Scores of one process."""
        store = self.store("here")
        for _ in score(self.slide, self.model, self.plan, store, self.device):
            pass
        return store

    def by_workers(
        self, client: Client, name: str, *, kill: bool = False
    ) -> tuple[float, ScoreStore]:
        """Seconds and scores of workers; one is killed when half of the tiles are there."""
        store = self.store(name)
        work = SlideWork.from_slide(
            self.slide, self.model, "bundled", REQUEST, self.plan, self.device
        )
        began, killed = time.perf_counter(), not kill
        for word in ClusterScoring(client).run([ClusterJob(work, self.plan, store)]):
            if word.error is not None:
                raise word.error
            if not killed and word.progress.done > self.plan.tile_count / 2:
                os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
                killed = True
        return time.perf_counter() - began, store


def main() -> None:
    """Measure, print the table, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, help="also write the figures there")
    options = parser.parse_args()
    counts = (1, options.workers)
    with open_slide(compose(width=WIDTH, height=HEIGHT)) as slide:
        bench = Bench(slide, load_model(), choose_device("cpu", exact=True))
        here = bench.here()
        rates: dict[int, list[float]] = {count: [] for count in counts}
        all_equal = True
        for number in range(options.rounds):
            for count in counts:
                with local_workers(count) as client:
                    bench.by_workers(client, f"warm-{number}-{count}")
                    seconds, store = bench.by_workers(client, f"{number}-{count}")
                rates[count].append(bench.plan.tile_count / seconds)
                all_equal &= equal(store, here)
        with local_workers(options.workers) as client:
            _, after_death = bench.by_workers(client, "killed", kill=True)
    medians = {count: statistics.median(found) for count, found in rates.items()}
    figures = {
        "tiles": bench.plan.tile_count,
        **{f"tiles/s, workers: {count}": round(rate, 1) for count, rate in medians.items()},
        f"{options.workers} workers / one": round(medians[options.workers] / medians[1], 2),
        "equal bit for bit": all_equal,
        "one killed: equal bit for bit": equal(after_death, here),
    }
    for name, value in figures.items():
        print(f"{name:32} {value}")
    if options.out:
        options.out.write_text(json.dumps(figures, indent=2) + "\n")


def equal(one: ScoreStore, other: ScoreStore) -> bool:
    """Whether two stores hold the same numbers, bit for bit."""
    pairs = [(one.scale(number), other.scale(number)) for number in range(other.scale_count)]
    return all(
        np.array_equal(a.probability, b.probability) and np.array_equal(a.embedding, b.embedding)
        for a, b in pairs
    )


if __name__ == "__main__":
    main()
