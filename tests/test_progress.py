import pytest

from napari_smse import progress
from napari_smse.progress import Eta


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_what_is_left_goes_by_the_speed_since_it_began(clock):
    watch = Eta()
    assert watch.seconds_left(10, 100) is None
    clock[0] = 3.0
    assert watch.seconds_left(10, 100) is None
    assert watch.seconds_left(40, 100) == pytest.approx(6.0)


def test_a_pause_does_not_count(clock):
    watch = Eta()
    watch.seconds_left(0, 100)
    clock[0] = 1000.0
    watch.begin()
    assert watch.seconds_left(50, 100) is None
    clock[0] = 1001.0
    assert watch.seconds_left(75, 100) == pytest.approx(1.0)


def test_new_work_begins_anew(clock):
    watch = Eta()
    watch.seconds_left(90, 100)
    clock[0] = 5.0
    assert watch.seconds_left(1, 100) is None
