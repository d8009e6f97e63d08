"""How long each stage of a run was busy, and which of them sets the pace."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

Stage = Literal["reading", "network"]
Limit = Literal["the network", "decoding the slide", "reading the disk"]
"""What sets the pace, as a user reads it."""


@dataclass
class _Busy:
    """What threads spent in a stage, s: by the clock, and computing."""

    clock: float = 0.0
    computing: float = 0.0


class StageTimes:
    """Seconds that threads spent in each stage; several threads may add to it.

    Parameters
    ----------
    readers, networks
        How many threads can be in each stage at once.
    """

    def __init__(self, readers: int = 1, networks: int = 1) -> None:
        self._threads: Final = {"reading": readers, "network": networks}
        self._lock = threading.Lock()
        self._busy: dict[Stage, _Busy] = {"reading": _Busy(), "network": _Busy()}

    @contextmanager
    def of(self, stage: Stage) -> Iterator[None]:
        """Count what happens inside to a stage."""
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

    def limit(self) -> Limit | None:
        """Tell what the rest waits for; None before anything was done.

        It is the stage whose threads were busy for the larger share. Readers that computed for
        less than half of their time waited for their drive.
        """
        with self._lock:
            reading, network = self._busy["reading"], self._busy["network"]
            if not reading.clock and not network.clock:
                return None
            shares = (
                network.clock / self._threads["network"],
                reading.clock / self._threads["reading"],
            )
            if shares[0] >= shares[1]:
                return "the network"
            waited = reading.computing < reading.clock / 2
            return "reading the disk" if waited else "decoding the slide"
