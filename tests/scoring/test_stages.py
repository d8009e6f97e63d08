"""What sets the pace of a run, told from times that are made up."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from napari_smse.scoring import stages
from napari_smse.scoring.stages import Limit, Stage, StageTimes


class Clock:
    """Goes on only when told to; computing is what a thread did of that time."""

    def __init__(self) -> None:
        self.now = self.computed = 0.0

    def spend(self, times: StageTimes, stage: Stage, seconds: float, computing: float) -> None:
        with times.of(stage):
            self.now += seconds
            self.computed += computing


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(
        stages,
        "time",
        SimpleNamespace(perf_counter=lambda: made.now, thread_time=lambda: made.computed),
    )
    return made


def test_nothing_is_told_before_anything_was_done() -> None:
    assert StageTimes().limit() is None


@pytest.mark.parametrize(
    ("reading", "computing", "network", "limit"),
    [
        (1.0, 1.0, 4.0, "the network"),
        (4.0, 4.0, 1.0, "decoding the slide"),
        (4.0, 0.5, 1.0, "reading the disk"),
        (4.0, 2.1, 1.0, "decoding the slide"),
        (4.0, 1.9, 1.0, "reading the disk"),
        (4.0, 0.0, 4.1, "the network"),
        (0.0, 0.0, 1.0, "the network"),
        (1.0, 1.0, 0.0, "decoding the slide"),
    ],
)
def test_the_busier_stage_sets_the_pace(
    clock: Clock, reading: float, computing: float, network: float, limit: Limit
) -> None:
    times = StageTimes()
    clock.spend(times, "reading", reading, computing)
    clock.spend(times, "network", network, network)
    assert times.limit() == limit


@pytest.mark.parametrize(
    ("readers", "networks", "limit"),
    [(1, 1, "decoding the slide"), (2, 1, "the network"), (4, 4, "decoding the slide")],
)
def test_busy_is_what_each_thread_of_a_stage_was(
    clock: Clock, readers: int, networks: int, limit: Limit
) -> None:
    # Two readers at work for 6 s are busy for 3 s each, and wait for a network of 4 s.
    times = StageTimes(readers, networks)
    clock.spend(times, "reading", 6, 6)
    clock.spend(times, "network", 4, 4)
    assert times.limit() == limit


def test_a_network_that_waits_for_the_drive_is_still_the_network(clock: Clock) -> None:
    times = StageTimes()
    clock.spend(times, "network", 4, 0)
    clock.spend(times, "reading", 1, 0)
    assert times.limit() == "the network"


def test_the_limit_changes_as_the_run_goes_on(clock: Clock) -> None:
    times = StageTimes()
    clock.spend(times, "network", 1, 1)
    assert times.limit() == "the network"
    clock.spend(times, "reading", 5, 1)
    assert times.limit() == "reading the disk"
    clock.spend(times, "reading", 5, 5)
    assert times.limit() == "decoding the slide"


def test_seconds_of_a_stage_add_up(clock: Clock) -> None:
    times = StageTimes()
    assert times.seconds("reading") == 0
    for seconds in (1.0, 2.5):
        clock.spend(times, "reading", seconds, 0)
    clock.spend(times, "network", 7, 7)
    assert times.seconds("reading") == 3.5
    assert times.seconds("network") == 7


def test_what_ends_in_an_error_took_its_time_too(clock: Clock) -> None:
    times = StageTimes()

    def fail() -> None:
        with times.of("reading"):
            clock.now += 2
            raise OSError("the drive is gone")

    with pytest.raises(OSError, match="the drive is gone"):
        fail()
    assert times.seconds("reading") == 2


def test_threads_add_to_the_same_times(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each look at the clock is a second later, in every thread for itself. As another thread gets
    # its turn meanwhile, only a lock keeps what both add.
    seen = threading.local()

    def tick() -> float:
        time.sleep(0.0005)
        seen.now = getattr(seen, "now", 0.0) + 1
        return float(seen.now)

    clock = SimpleNamespace(perf_counter=tick, thread_time=lambda: 0.0)
    monkeypatch.setattr(stages, "time", clock)
    times = StageTimes()

    def work() -> None:
        for _ in range(20):
            with times.of("reading"):
                pass

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(work) for _ in range(4)]:
            done.result(timeout=20)
    assert times.seconds("reading") == 4 * 20
