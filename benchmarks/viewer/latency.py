"""How long somebody waits for the viewer: clicks, first cells, the tile count, panning.

Slides are composed of real tissue by `benchmarks.large_slide`. Each part runs in a process of its
own with a home of its own, as on a new machine. Run it with a display, or under Xvfb:

    xvfb-run -a -s "-screen 0 1600x1000x24" .venv/bin/python -m benchmarks.viewer.latency

To compare two versions, let each run the same parts in turns, `--rounds` times, from its own
environment with `--json`, and give both files to

    .venv/bin/python -m benchmarks.viewer.latency --compare before.json after.json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.large_slide import compose

SMALL, LARGE = (3_000, 2_500), (60_000, 50_000)
PARTS = ("clicks", "runs", "count", "scoring")
FIGURES = {
    "first_click_s": "first click on a table row",
    "later_click_s": "later clicks",
    "first_run_s": "first cell of the first run",
    "second_run_s": "first cell of the second run",
    "first_count_s": "first tile count, 60,000 x 50,000 px",
    "later_count_s": "later tile counts",
    "event_loop_p50_ms": "event loop while scoring, median",
    "event_loop_p99_ms": "event loop while scoring, p99",
    "event_loop_max_ms": "event loop while scoring, longest",
    "pan_ms": "a step of panning while scoring, median",
    "pan_p95_ms": "a step of panning while scoring, p95",
    "zoom_ms": "a step of zooming while scoring, median",
    "zoom_p95_ms": "a step of zooming while scoring, p95",
}
STEPS, LATER_CLICKS, LATER_COUNTS = 40, 10, 3


def main() -> None:
    """Measure the parts one after the other, or compare two files of figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=PARTS)
    parser.add_argument("--seconds", type=float, default=30, help="of scoring the large slide")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", type=Path, help="add the figures to this file")
    parser.add_argument("--part", choices=PARTS, help="measure this one, here and now")
    parser.add_argument("--compare", type=Path, nargs=2, metavar=("BEFORE", "AFTER"))
    options = parser.parse_args()
    if options.part:
        print(json.dumps(globals()[f"measure_{options.part}"](options.seconds)))
        return
    if options.compare:
        compare(*(json.loads(path.read_text()) for path in options.compare))
        return
    rounds = json.loads(options.json.read_text()) if options.json and options.json.exists() else []
    for _ in range(options.rounds):
        figures = {}
        for part in options.parts:
            figures |= in_a_new_home(part, options.seconds)
        rounds.append(figures)
        if options.json:
            options.json.write_text(json.dumps(rounds, indent=2) + "\n")
    for name, value in medians(rounds).items():
        print(f"{FIGURES[name]:<45} {value:8.2f} {name.rpartition('_')[2]}")


def in_a_new_home(part: str, seconds: float) -> dict[str, float]:
    """Measure a part in a process that finds nothing of an earlier one."""
    with tempfile.TemporaryDirectory() as home:
        names = ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")
        environment = {**os.environ, **dict.fromkeys(names, home)}
        command = [sys.executable, "-m", __spec__.name, "--part", part, "--seconds", str(seconds)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{part}: {done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each figure over rounds."""
    return {
        name: float(np.median([one[name] for one in rounds if name in one]))
        for name in FIGURES
        if any(name in one for one in rounds)
    }


def compare(before: list[dict[str, float]], after: list[dict[str, float]]) -> None:
    """Print a table of two versions' medians and their ratio."""
    was, now = medians(before), medians(after)
    print("| what | before | after | after / before |\n|---|---|---|---|")
    for name in (one for one in FIGURES if one in was and one in now):
        unit = name.rpartition("_")[2]
        ratio = now[name] / was[name]
        print(
            f"| {FIGURES[name]} | {was[name]:.2f} {unit} | {now[name]:.2f} {unit} | {ratio:.2f} |"
        )


# -- the parts -------------------------------------------------------------------------


def measure_clicks(_seconds: float) -> dict[str, float]:
    """Click rows of the table of tiles, in a process where nothing was clicked yet."""
    viewer, dock, gaps = opened(SMALL)
    dock.run()
    gaps.until(lambda: dock.table.model().rowCount() > LATER_CLICKS)
    dock.cancel()
    gaps.during(3)
    clicks = [
        held_up(gaps, lambda row=row: dock.table.selectRow(row)) for row in range(LATER_CLICKS + 1)
    ]
    viewer.close()
    return {"first_click_s": clicks[0], "later_click_s": float(np.median(clicks[1:]))}


def measure_runs(_seconds: float) -> dict[str, float]:
    """Run where nothing is known of the machine, and again, until a map has a cell."""
    viewer, dock, gaps = opened(SMALL)
    dock.form.again.setChecked(True)
    waits = []
    for _ in range(2):
        began, before = time.perf_counter(), dock.live.layers
        dock.run()
        gaps.until(lambda before=before: dock.live.layers is not before and any_cell(dock))
        waits.append(time.perf_counter() - began)
        dock.cancel()
        gaps.during(2)
    viewer.close()
    return dict(zip(("first_run_s", "second_run_s"), waits, strict=True))


def measure_count(_seconds: float) -> dict[str, float]:
    """Count the tiles of a slide of full size, of which nothing is known and later the tissue."""
    viewer, dock, gaps = opened(LARGE, counted=False)
    began = time.perf_counter()
    gaps.until(lambda: "tiles to score" in dock.panel.count.text())
    waits = [time.perf_counter() - began]
    for _ in range(LATER_COUNTS):
        began = time.perf_counter()
        dock.counter.count()
        gaps.until(lambda: not dock.counter.task.is_running)
        waits.append(time.perf_counter() - began)
    viewer.close()
    return {"first_count_s": waits[0], "later_count_s": float(np.median(waits[1:]))}


def measure_scoring(seconds: float) -> dict[str, float]:
    """Score a slide of full size for a while, first looking on, then moving about."""
    viewer, dock, gaps = opened(LARGE)
    dock.run()
    gaps.until(lambda: any_cell(dock))
    gaps.during(2)
    waits = gaps.during(seconds)
    pans = [step(gaps, lambda: pan(viewer)) for _ in range(STEPS)]
    zooms = [step(gaps, lambda n=n: zoom(viewer, n)) for n in range(STEPS)]
    dock.cancel()
    gaps.during(3)
    viewer.close()
    p50, p99 = (float(np.percentile(waits, share)) for share in (50, 99))
    figures = {"event_loop_p50_ms": p50, "event_loop_p99_ms": p99}
    figures["event_loop_max_ms"] = float(waits.max())
    for name, steps in (("pan", pans), ("zoom", zooms)):
        figures[f"{name}_ms"] = float(np.median(steps))
        figures[f"{name}_p95_ms"] = float(np.percentile(steps, 95))
    return figures


# -- the viewer ------------------------------------------------------------------------


def opened(size: tuple[int, int], *, counted: bool = True) -> tuple[Any, Any, Any]:
    """Open a slide and the Score dock; return the viewer, the dock and its event loop."""
    import napari

    from benchmarks.viewer.event_loop import LoopGaps

    path = compose(None, *size)
    viewer = napari.Viewer()
    viewer.window.resize(1600, 1000)
    viewer.open(path, plugin="napari-smse")
    gaps = LoopGaps()
    gaps.during(2)
    _, dock = viewer.window.add_plugin_dock_widget("napari-smse", "SMSE: Score slide")
    if counted:
        gaps.until(lambda: "tiles to score" in dock.panel.count.text())
        # Naming the devices imports torch.
        gaps.until(lambda: not dock.asking.is_running)
        gaps.during(2)
    return viewer, dock, gaps


def any_cell(dock: Any) -> bool:
    """Whether the maps of the run under way show a tile."""
    shown = dock.live.layers
    if shown is None or not dock.live._refreshed:
        return False
    return any(np.isfinite(one.probability).any() for one in shown.maps.scores())


def held_up(gaps: Any, action: Callable[[], object], quiet_s: float = 0.4) -> float:
    """Return for how long something holds the event loop up, drawing included, s."""
    gaps.during(0.2)
    began = time.perf_counter()
    action()
    acted = time.perf_counter()
    waits = gaps.during(quiet_s) / 1000
    late = np.flatnonzero(waits > 0.03)
    drawn = acted + waits[: late[-1] + 1].sum() if len(late) else acted
    return float(max(acted, drawn) - began)


def step(gaps: Any, action: Callable[[], object]) -> float:
    """Return how long a step of the camera takes until it is on the screen, ms."""
    from qtpy.QtWidgets import QApplication

    gaps.during(0.05)
    began = time.perf_counter()
    action()
    QApplication.processEvents()
    return (time.perf_counter() - began) * 1000


def pan(viewer: Any) -> None:
    """Move by a tenth of what is seen."""
    height = viewer.canvas.size[0] / viewer.scene.camera.zoom
    *others, y, x = viewer.scene.camera.center
    viewer.scene.camera.center = (*others, y, x + height / 10)


def zoom(viewer: Any, number: int) -> None:
    """Go closer by a fifth, and back after some steps."""
    viewer.scene.camera.zoom *= 1.2 if number % 20 < 10 else 1 / 1.2


if __name__ == "__main__":
    main()
