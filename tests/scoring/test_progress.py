"""How fast a run says it is."""

from __future__ import annotations

import numpy as np
import pytest

from napari_smse.scoring.progress import Clock, TileScores


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
    clock = Clock(1000)
    time.now += 1.9
    assert clock.tell(tiles(10), "the network").seconds_left is None
    time.now += 0.2
    told = clock.tell(tiles(11), "the network")
    assert told.rate == pytest.approx(21 / 2.1)
    assert told.seconds_left == pytest.approx((1000 - 21) / 10)
    assert told.limit == "the network"


def test_the_pace_is_that_of_the_last_ten_seconds(time: Time) -> None:
    clock = Clock(10_000)
    for rate in (100, 10):
        for _ in range(30):
            time.now += 1
            told = clock.tell(tiles(rate))
    assert told.rate == pytest.approx(10)


def test_what_an_earlier_run_scored_says_nothing_of_the_pace(time: Time) -> None:
    clock = Clock(1000)
    told = clock.resume(tiles(900))
    assert (told.done, told.rate, told.seconds_left) == (900, 0, None)
    time.now += 5
    told = clock.tell(tiles(50))
    assert (told.done, told.rate) == (950, pytest.approx(10))
    assert told.seconds_left == pytest.approx(5)


def test_the_end_is_told_at_once(time: Time) -> None:
    clock = Clock(10)
    time.now += 0.5
    assert clock.tell(tiles(10)).seconds_left == 0


def test_no_run_is_said_to_last_longer_than_it_may(time: Time) -> None:
    clock = Clock(1000, deadline=time.now + 12)
    time.now += 4
    assert clock.tell(tiles(40)).seconds_left == pytest.approx(8)


def test_a_run_that_got_nowhere_promises_nothing(time: Time) -> None:
    clock = Clock(1000)
    time.now += 60
    told = clock.tell(())
    assert (told.rate, told.seconds_left) == (0, None)
