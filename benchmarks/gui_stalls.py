"""How long the viewer's event loop is held up while a slide is being scored.

A timer asks for a tick every 5 ms in the GUI thread; the gaps between ticks are
what a user feels. The limit is 100 ms. Run it with a display, or under Xvfb:

    xvfb-run -a --server-args="-screen 0 1600x1000x24" .venv/bin/python benchmarks/gui_stalls.py
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SAMPLE = Path(__file__).resolve().parent.parent / "sample_data" / "sample_slide.tif"
LIMIT_MS = 100.0
TICK_MS = 5


def main() -> None:
    """Measure, print a table and JSON, and exit with 1 if the limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide", nargs="?", type=Path, default=SAMPLE)
    parser.add_argument("--overlap", default="half", help="as in the dock; more makes it longer")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        figures = measure(options.slide, options.overlap)
    for phase, gaps in figures["phases"].items():
        print(
            f"{phase:>22}: {gaps['ticks']:6d} ticks, gaps median {gaps['median_ms']:.1f}, "
            f"p95 {gaps['p95_ms']:.1f}, p99 {gaps['p99_ms']:.1f}, max {gaps['max_ms']:.1f} ms"
        )
    print(f"max while scoring / limit: {figures['max_over_limit']:.2f} ({figures['tiles']} tiles)")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    sys.exit(figures["max_over_limit"] > 1)


def measure(slide: Path, overlap: str) -> dict:
    """Score a slide twice in a real viewer: the first run imports torch, the second is warm."""
    import napari
    from qtpy.QtCore import QEventLoop, Qt, QTimer

    viewer = napari.Viewer()
    viewer.window.resize(1600, 1000)
    viewer.open(slide, plugin="napari-smse")
    ticks: list[float] = []
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(lambda: ticks.append(time.perf_counter()))
    timer.start(TICK_MS)
    ticks.append(time.perf_counter())

    def live_until(condition: Callable[[], bool], end: Any = None) -> np.ndarray:
        """Let the event loop run as it does in an application; the gaps meanwhile, ms.

        The phase ends with the signal `end`; what is done after it is the next phase's.
        """
        loop, watch, ended = QEventLoop(), QTimer(), []
        watch.timeout.connect(lambda: condition() and loop.quit())
        watch.start(TICK_MS)
        if end is not None:
            end.connect(lambda: ended.append(time.perf_counter()))
        loop.exec()
        watch.stop()
        last = ended[0] if ended else time.perf_counter()
        phase = [tick for tick in ticks if tick < last] + [last]
        ticks[:] = [last, *(tick for tick in ticks if tick > last)]
        return np.diff(phase) * 1000

    def live_for(seconds: float) -> np.ndarray:
        end = time.perf_counter() + seconds
        return live_until(lambda: time.perf_counter() > end)

    _, dock = viewer.window.add_plugin_dock_widget("napari-smse", "SMSE: Score slide")
    phases = {}
    phases["dock opening (torch)"] = live_for(8)
    phases["idle"] = live_for(2)
    dock.form.overlap.setCurrentText(overlap)
    dock.form.again.setChecked(True)
    for name in ("first run", "second run"):
        dock.run()
        # The first heat map is drawn, which compiles its shader, before the first tile is scored.
        phases[f"{name}, start"] = live_until(
            lambda: dock.started is not None and dock.started.shown.is_set()
        )
        # Scoring ends with the last tile; what the viewer does then is a phase of its own.
        phases[f"{name}, scoring"] = live_until(
            lambda: not dock.scoring.is_running, dock.scoring.ended
        )
        phases[f"{name}, afterwards"] = live_for(3)
    tiles = dock.started.plan.tile_count
    viewer.close()
    scoring = [gaps for name, gaps in phases.items() if name.endswith("scoring")]
    return {
        "tiles": tiles,
        "cores": os.cpu_count(),
        "limit_ms": LIMIT_MS,
        "max_over_limit": float(max(gaps.max() for gaps in scoring)) / LIMIT_MS,
        "phases": {name: _summary(gaps) for name, gaps in phases.items()},
    }


def _summary(gaps: np.ndarray) -> dict:
    return {
        "ticks": len(gaps),
        "median_ms": float(np.median(gaps)),
        "p95_ms": float(np.percentile(gaps, 95)),
        "p99_ms": float(np.percentile(gaps, 99)),
        "max_ms": float(gaps.max()),
    }


if __name__ == "__main__":
    main()
