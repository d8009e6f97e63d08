"""Throughput of a run, and which of its stages is the bottleneck."""

from __future__ import annotations

import threading
import time as system_time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from napari_smse.scoring import progress
from napari_smse.scoring.progress import (
    Bottleneck,
    Stage,
    StageTimes,
    ThroughputMeter,
    TileScores,
)


class Time:
    """Stands still until told otherwise."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr("napari_smse.scoring.progress.time.monotonic", time)
    return time


def tiles(count: int) -> tuple[TileScores, ...]:
    return (TileScores(0, np.arange(count), np.zeros((count, 2), np.float32)),)


def test_nothing_is_promised_in_the_first_two_seconds(time: Time) -> None:
    meter = ThroughputMeter(1000)
    time.now += 1.9
    assert meter.advance(tiles(10), "the network").seconds_left is None
    time.now += 0.2
    current = meter.advance(tiles(11), "the network")
    assert current.rate == pytest.approx(21 / 2.1)
    assert current.seconds_left == pytest.approx((1000 - 21) / 10)
    assert current.bottleneck == "the network"


def test_the_throughput_is_that_of_the_last_ten_seconds(time: Time) -> None:
    meter = ThroughputMeter(10_000)
    for rate in (100, 10):
        for _ in range(30):
            time.now += 1
            current = meter.advance(tiles(rate))
    assert current.rate == pytest.approx(10)


def test_what_an_earlier_run_scored_says_nothing_of_the_throughput(time: Time) -> None:
    meter = ThroughputMeter(1000)
    current = meter.resume(tiles(900))
    assert (current.done, current.rate, current.seconds_left) == (900, 0, None)
    time.now += 5
    current = meter.advance(tiles(50))
    assert (current.done, current.rate) == (950, pytest.approx(10))
    assert current.seconds_left == pytest.approx(5)


def test_the_end_is_told_at_once(time: Time) -> None:
    meter = ThroughputMeter(10)
    time.now += 0.5
    assert meter.advance(tiles(10)).seconds_left == 0


def test_no_run_is_said_to_last_longer_than_it_may(time: Time) -> None:
    meter = ThroughputMeter(1000, deadline=time.now + 12)
    time.now += 4
    assert meter.advance(tiles(40)).seconds_left == pytest.approx(8)


def test_a_run_that_got_nowhere_promises_nothing(time: Time) -> None:
    meter = ThroughputMeter(1000)
    time.now += 60
    current = meter.advance(())
    assert (current.rate, current.seconds_left) == (0, None)


class StageClock:
    """Moves on only when `spend` is called; computing is what a thread did of that time."""

    def __init__(self) -> None:
        self.now = self.computed = 0.0

    def spend(self, times: StageTimes, stage: Stage, seconds: float, computing: float) -> None:
        with times.measure(stage):
            self.now += seconds
            self.computed += computing


@pytest.fixture
def stage_clock(monkeypatch: pytest.MonkeyPatch) -> StageClock:
    made = StageClock()
    monkeypatch.setattr(
        progress,
        "time",
        SimpleNamespace(perf_counter=lambda: made.now, thread_time=lambda: made.computed),
    )
    return made


def test_nothing_is_told_before_anything_was_done() -> None:
    assert StageTimes().bottleneck() is None


@pytest.mark.parametrize(
    ("reading", "computing", "network", "bottleneck"),
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
def test_the_busier_stage_is_the_bottleneck(
    stage_clock: StageClock,
    reading: float,
    computing: float,
    network: float,
    bottleneck: Bottleneck,
) -> None:
    times = StageTimes()
    stage_clock.spend(times, "reading", reading, computing)
    stage_clock.spend(times, "network", network, network)
    assert times.bottleneck() == bottleneck


@pytest.mark.parametrize(
    ("readers", "networks", "bottleneck"),
    [(1, 1, "decoding the slide"), (2, 1, "the network"), (4, 4, "decoding the slide")],
)
def test_busy_is_what_each_thread_of_a_stage_was(
    stage_clock: StageClock, readers: int, networks: int, bottleneck: Bottleneck
) -> None:
    # Two readers at work for 6 s are busy for 3 s each, and wait for a network of 4 s.
    times = StageTimes(readers, networks)
    stage_clock.spend(times, "reading", 6, 6)
    stage_clock.spend(times, "network", 4, 4)
    assert times.bottleneck() == bottleneck


def test_a_network_that_waits_for_the_drive_is_still_the_network(stage_clock: StageClock) -> None:
    times = StageTimes()
    stage_clock.spend(times, "network", 4, 0)
    stage_clock.spend(times, "reading", 1, 0)
    assert times.bottleneck() == "the network"


def test_the_bottleneck_changes_as_the_run_goes_on(stage_clock: StageClock) -> None:
    times = StageTimes()
    stage_clock.spend(times, "network", 1, 1)
    assert times.bottleneck() == "the network"
    stage_clock.spend(times, "reading", 5, 1)
    assert times.bottleneck() == "reading the disk"
    stage_clock.spend(times, "reading", 5, 5)
    assert times.bottleneck() == "decoding the slide"


def test_seconds_of_a_stage_add_up(stage_clock: StageClock) -> None:
    times = StageTimes()
    assert times.seconds("reading") == 0
    for seconds in (1.0, 2.5):
        stage_clock.spend(times, "reading", seconds, 0)
    stage_clock.spend(times, "network", 7, 7)
    assert times.seconds("reading") == 3.5
    assert times.seconds("network") == 7


def test_what_ends_in_an_error_took_its_time_too(stage_clock: StageClock) -> None:
    times = StageTimes()

    def fail() -> None:
        with times.measure("reading"):
            stage_clock.now += 2
            raise OSError("the drive is gone")

    with pytest.raises(OSError, match="the drive is gone"):
        fail()
    assert times.seconds("reading") == 2


def test_threads_add_to_the_same_times(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each look at the clock is a second later, in every thread for itself. As another thread gets
    # its turn meanwhile, only a lock keeps what both add.
    seen = threading.local()

    def tick() -> float:
        system_time.sleep(0.0005)
        seen.now = getattr(seen, "now", 0.0) + 1
        return float(seen.now)

    ticking = SimpleNamespace(perf_counter=tick, thread_time=lambda: 0.0)
    monkeypatch.setattr(progress, "time", ticking)
    times = StageTimes()

    def work() -> None:
        for _ in range(20):
            with times.measure("reading"):
                pass

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(work) for _ in range(4)]:
            done.result(timeout=20)
    assert times.seconds("reading") == 4 * 20
