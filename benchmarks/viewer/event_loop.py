"""Gaps between the ticks of a viewer's event loop, which are what a user feels."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from qtpy.QtCore import QEventLoop, Qt, QTimer

TICK_MS = 5


class LoopGaps:
    """Asks for a tick every 5 ms in the GUI thread."""

    def __init__(self) -> None:
        self._ticks = [time.perf_counter()]
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(lambda: self._ticks.append(time.perf_counter()))
        self._timer.start(TICK_MS)

    def until(self, condition: Callable[[], bool], end: Any = None) -> np.ndarray:
        """Let the event loop run as it does in an application; the gaps meanwhile, ms.

        The phase ends with the signal `end`; what is done after it is the next phase's.
        """
        loop, watch, ended = QEventLoop(), QTimer(), []
        watch.timeout.connect(lambda: condition() and loop.quit())
        watch.start(TICK_MS)
        if end is not None:
            end.connect(lambda *_: ended.append(time.perf_counter()))
        loop.exec()
        watch.stop()
        last = ended[0] if ended else time.perf_counter()
        phase = [tick for tick in self._ticks if tick < last] + [last]
        self._ticks[:] = [last, *(tick for tick in self._ticks if tick > last)]
        return np.diff(phase) * 1000

    def during(self, seconds: float) -> np.ndarray:
        """Let the event loop run for a while."""
        end = time.perf_counter() + seconds
        return self.until(lambda: time.perf_counter() > end)


def summary(gaps: np.ndarray) -> dict[str, float]:
    """Describe gaps, ms."""
    return {
        "ticks": len(gaps),
        "median_ms": float(np.median(gaps)),
        "p95_ms": float(np.percentile(gaps, 95)),
        "p99_ms": float(np.percentile(gaps, 99)),
        "max_ms": float(gaps.max()),
    }


def show(phases: dict[str, dict[str, float]]) -> None:
    """Print a line a phase."""
    for phase, gaps in phases.items():
        print(
            f"{phase:>22}: {gaps['ticks']:6d} ticks, gaps median {gaps['median_ms']:.1f}, "
            f"p95 {gaps['p95_ms']:.1f}, p99 {gaps['p99_ms']:.1f}, max {gaps['max_ms']:.1f} ms"
        )
