"""Does a run that is killed again and again end as one that was left alone?

    .venv/bin/python -m benchmarks.scoring.killed_runs [--kills 20] [--out figures.json]

A process scores a composed slide (`large_slide.py`) on the CPU in float32 and is killed (SIGKILL)
at a random moment; the next goes on where it stopped, and so on, until one is let through to the
end. What comes out must equal, bit for bit, what one undisturbed process gave. How many tiles the
network was given is counted, so tiles scored twice show: those of blocks begun and of the second
that was not written yet. That, and no more, is what a kill may cost.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.large_slide import compose

WIDTH, HEIGHT = 12_000, 10_000
MPPS = (0.5, 1.0)
SEED = 20


def main() -> None:
    """Measure, print the table, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--out", type=Path, help="also write the figures there")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        score_slide(options.child)
        return
    folder = Path(tempfile.mkdtemp())
    compose(width=WIDTH, height=HEIGHT)
    seconds = let_through(folder / "whole")
    whole, chunk = given(folder / "whole"), a_second_and_a_block(folder / "whole", seconds)
    # Together they get three quarters of the time that the slide takes.
    each, chance = 1.5 * seconds / options.kills, random.Random(SEED)
    costs = [kill(folder / "killed", chance.uniform(0, each)) for _ in range(options.kills)]
    let_through(folder / "killed")
    figures = {
        "tiles": whole,
        "kills": options.kills,
        "equal bit for bit": equal(folder / "whole", folder / "killed"),
        "scored twice in all": given(folder / "killed") - whole,
        "scored twice a kill, median": statistics.median(costs),
        "scored twice a kill, most": max(costs),
        "tiles of a second and a block": chunk,
        "most / a second and a block": max(costs) / chunk,
    }
    for name, value in figures.items():
        print(f"{name:32} {value if isinstance(value, int) else format(value, '.2f')}")
    if options.out:
        options.out.write_text(json.dumps(figures, indent=2) + "\n")


def score_slide(folder: Path) -> None:
    """Score, or go on scoring, in this process; counts tiles before the network gets them."""
    from napari_smse.models import load_model
    from napari_smse.scoring import ScoreRequest, choose_device, open_run, score
    from napari_smse.scoring.tile_classifier import TileClassifier
    from napari_smse.slides import open_slide

    plain = TileClassifier.__call__

    def counted(self: TileClassifier, tiles: np.ndarray) -> object:
        with (folder / "given").open("ab", buffering=0) as log:
            log.write(bytes([len(tiles)]))
        return plain(self, tiles)

    TileClassifier.__call__ = counted  # type: ignore[method-assign,assignment]
    folder.mkdir(exist_ok=True)
    model, device = load_model(), choose_device("cpu", exact=True)
    with open_slide(compose(width=WIDTH, height=HEIGHT)) as slide:
        request = ScoreRequest(MPPS)
        plan = request.plan(slide, model.card)
        store = open_run(folder / "s.zarr", slide, model.card, request, plan, device)
        blocks = [block.tile_count for block in plan.blocks]
        (folder / "plan.json").write_text(json.dumps(blocks))
        threads = os.cpu_count() or 1
        for _ in score(slide, model, plan, store, device, threads=threads):
            pass


def child(folder: Path) -> subprocess.Popen[bytes]:
    """Start a process that scores."""
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.scoring.killed_runs", "--child", str(folder)]
    )


def let_through(folder: Path) -> float:
    """Score to the end; returns the seconds since the network was first given tiles."""
    running, began = begun(folder)
    if running.wait():
        raise RuntimeError("scoring failed")
    return time.monotonic() - began


def begun(folder: Path) -> tuple[subprocess.Popen[bytes], float]:
    """Start a process, and wait until its network is given tiles."""
    before, running = given(folder), child(folder)
    while given(folder) == before and running.poll() is None:
        time.sleep(0.01)
    return running, time.monotonic()


def kill(folder: Path, after: float) -> int:
    """Kill a process some seconds after its first tiles; returns the tiles that it gave in vain."""
    before = given(folder) - kept(folder)
    running, _ = begun(folder)
    time.sleep(after)
    running.send_signal(signal.SIGKILL)
    if running.wait() == 0:
        raise RuntimeError("it ended before it was killed: take a larger slide")
    return given(folder) - kept(folder) - before


def given(folder: Path) -> int:
    """Tiles that the network was given so far."""
    log = folder / "given"
    return sum(log.read_bytes()) if log.exists() else 0


def kept(folder: Path) -> int:
    """Tiles that the store counts as done."""
    from napari_smse.scoring import ScoreStore

    if not (folder / "s.zarr").exists():
        return 0
    blocks = json.loads((folder / "plan.json").read_text())
    return int(np.dot(ScoreStore.open(folder / "s.zarr").blocks_done(), blocks))


def a_second_and_a_block(folder: Path, seconds: float) -> int:
    """Tiles scored in a second, and those of the largest block."""
    blocks = json.loads((folder / "plan.json").read_text())
    return round(sum(blocks) / seconds) + max(blocks)


def equal(one: Path, other: Path) -> bool:
    """Whether two stores hold the same numbers, bit for bit."""
    from napari_smse.scoring import ScoreStore

    stores = [ScoreStore.open(folder / "s.zarr") for folder in (one, other)]
    return all(
        np.array_equal(*(getattr(store.scale(scale), part) for store in stores))
        for scale in range(len(MPPS))
        for part in ("probability", "embedding")
    )


if __name__ == "__main__":
    main()
