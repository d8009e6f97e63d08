"""How far a run is, how fast, for how long still, and which stage is its bottleneck."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from napari_smse.progress import Progress

PROBE_S = 2.0
"""Before so much time no throughput is reported: the first batches are slow."""

_THROUGHPUT_OVER_S = 10.0

Stage = Literal["reading", "network"]
Bottleneck = Literal["the network", "decoding the slide", "reading the disk"]
"""What limits the throughput, as a user reads it."""


@dataclass(frozen=True)
class TileScores:
    """New results of one scale.

    Parameters
    ----------
    scale
        Number of the scale in the plan.
    index
        Indices of the tiles of that scale, (n,).
    probability
        (n, classes).
    """

    scale: int
    index: NDArray[np.int64]
    probability: NDArray[np.float32]


@dataclass(frozen=True)
class ScoringProgress(Progress):
    """How far a run is, in tiles; seconds left are not known in the first two seconds.

    Attributes
    ----------
    rate
        Tiles per second over the last ten seconds; 0 before the first.
    scores
        Results since the last progress.
    bottleneck
        Stage that limits the throughput; None in the first two seconds.
    """

    rate: float = 0.0
    scores: tuple[TileScores, ...] = ()
    bottleneck: Bottleneck | None = None


@dataclass
class ThroughputMeter:
    """Counts tiles and time.

    Parameters
    ----------
    total
        Tiles to score.
    deadline
        When to stop, as `time.monotonic` counts; None if all tiles are to be scored.
    """

    total: int
    deadline: float | None = None
    done: int = 0
    _began: float = field(init=False)
    _marks: deque[tuple[float, int]] = field(init=False, default_factory=deque)

    def __post_init__(self) -> None:
        self._began = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    def resume(self, scores: tuple[TileScores, ...]) -> ScoringProgress:
        """Count what an earlier run scored, without taking it for throughput of this one."""
        self.done += _count(scores)
        self._marks.append((time.monotonic(), self.done))
        return ScoringProgress(self.done, self.total, scores=scores)

    def advance(
        self, scores: tuple[TileScores, ...], bottleneck: Bottleneck | None = None
    ) -> ScoringProgress:
        """Count new tiles, and return how far the run is."""
        self.done += _count(scores)
        rate = self._rate()
        seconds_left = self._seconds_left(rate)
        return ScoringProgress(
            self.done,
            self.total,
            seconds_left=seconds_left,
            rate=rate,
            scores=scores,
            bottleneck=None if seconds_left is None else bottleneck,
        )

    def _seconds_left(self, rate: float) -> float | None:
        if self.done == self.total:
            return 0.0
        if self.elapsed < PROBE_S or not rate:
            return None
        seconds_left = (self.total - self.done) / rate
        if self.deadline is not None:
            seconds_left = min(seconds_left, max(0.0, self.deadline - time.monotonic()))
        return seconds_left

    def _rate(self) -> float:
        now = time.monotonic()
        if not self._marks:
            self._marks.append((self._began, 0))
        self._marks.append((now, self.done))
        while len(self._marks) > 2 and now - self._marks[1][0] > _THROUGHPUT_OVER_S:
            self._marks.popleft()
        then, before = self._marks[0]
        return (self.done - before) / max(now - then, 1e-9)


def _count(scores: tuple[TileScores, ...]) -> int:
    return sum(len(part.index) for part in scores)


@dataclass
class _BusyTime:
    """What threads spent in a stage, s: by the clock, and computing."""

    clock: float = 0.0
    computing: float = 0.0


class StageTimes:
    """Seconds that threads spent in each stage; several threads may add to it.

    Parameters
    ----------
    readers, networks
        Number of threads that can be in each stage at once.
    """

    def __init__(self, readers: int = 1, networks: int = 1) -> None:
        self._threads: Final = {"reading": readers, "network": networks}
        self._lock = threading.Lock()
        self._busy: dict[Stage, _BusyTime] = {"reading": _BusyTime(), "network": _BusyTime()}

    @contextmanager
    def measure(self, stage: Stage) -> Iterator[None]:
        """Add the time that the context lasts to a stage."""
        clock, computing = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            with self._lock:
                self._busy[stage].clock += time.perf_counter() - clock
                self._busy[stage].computing += time.thread_time() - computing

    def seconds(self, stage: Stage) -> float:
        """Return the seconds so far, of all threads together."""
        with self._lock:
            return self._busy[stage].clock

    def bottleneck(self) -> Bottleneck | None:
        """Return the stage that the others wait for; None before anything was done.

        It is the stage whose threads were busy for the larger fraction of the time. Readers that
        computed for less than half of their time waited for their drive.
        """
        with self._lock:
            reading, network = self._busy["reading"], self._busy["network"]
            if not reading.clock and not network.clock:
                return None
            network_load = network.clock / self._threads["network"]
            if network_load >= reading.clock / self._threads["reading"]:
                return "the network"
            waited = reading.computing < reading.clock / 2
            return "reading the disk" if waited else "decoding the slide"
