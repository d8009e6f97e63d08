"""How far a run is, how fast, and for how long still."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_smse.scoring.stages import Limit

PROBE_S = 2.0
"""Before so much time no pace is told: the first batches are slow."""

_PACE_OVER_S = 10.0


@dataclass(frozen=True)
class TileScores:
    """New results of one scale.

    Parameters
    ----------
    scale
        Number of the scale in the plan.
    index
        Which of its tiles, (n,).
    probability
        (n, classes).
    """

    scale: int
    index: NDArray[np.int64]
    probability: NDArray[np.float32]


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Parameters
    ----------
    done, total
        Tiles scored so far and in all.
    rate
        Tiles per second over the last ten seconds; 0 before the first.
    seconds_left
        Expected time to the end; None in the first two seconds.
    scores
        What is new since the last progress.
    limit
        What sets the pace; None in the first two seconds.
    """

    done: int
    total: int
    rate: float = 0.0
    seconds_left: float | None = None
    scores: tuple[TileScores, ...] = ()
    limit: Limit | None = None


@dataclass
class Clock:
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

    def resume(self, scores: tuple[TileScores, ...]) -> Progress:
        """Count what an earlier run scored, which says nothing of the pace."""
        self.done += _count(scores)
        self._marks.append((time.monotonic(), self.done))
        return Progress(self.done, self.total, scores=scores)

    def tell(self, scores: tuple[TileScores, ...], limit: Limit | None = None) -> Progress:
        """Count new tiles, and tell how far the run is."""
        self.done += _count(scores)
        rate = self._rate()
        if self.done == self.total:
            return Progress(self.done, self.total, rate, 0.0, scores, limit)
        if self.elapsed < PROBE_S or not rate:
            return Progress(self.done, self.total, rate, None, scores)
        left = (self.total - self.done) / rate
        if self.deadline is not None:
            left = min(left, max(0.0, self.deadline - time.monotonic()))
        return Progress(self.done, self.total, rate, left, scores, limit)

    def _rate(self) -> float:
        now = time.monotonic()
        if not self._marks:
            self._marks.append((self._began, 0))
        self._marks.append((now, self.done))
        while len(self._marks) > 2 and now - self._marks[1][0] > _PACE_OVER_S:
            self._marks.popleft()
        then, before = self._marks[0]
        return (self.done - before) / max(now - then, 1e-9)


def _count(scores: tuple[TileScores, ...]) -> int:
    return sum(len(part.index) for part in scores)
