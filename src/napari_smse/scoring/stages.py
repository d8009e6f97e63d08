"""How long each stage of a run was busy, and which of them sets the pace."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Stage = Literal["reading", "network"]

LIMIT_NAMES: dict[str, str] = {
    "reading": "reading the slide",
    "disk": "reading from the disk",
    "decode": "decoding the slide",
    "network": "the network",
}
"""What sets the pace, as a user reads it."""


class StageTimes:
    """Seconds that threads spent in each stage; several threads may add to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: dict[Stage, float] = {"reading": 0.0, "network": 0.0}

    @contextmanager
    def of(self, stage: Stage) -> Iterator[None]:
        """Count what happens inside to a stage."""
        began = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self._seconds[stage] += time.perf_counter() - began

    def seconds(self, stage: Stage) -> float:
        """Return the seconds so far, of all threads together."""
        with self._lock:
            return self._seconds[stage]
