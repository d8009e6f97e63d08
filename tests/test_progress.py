import pytest

from napari_smse import progress
from napari_smse.progress import Eta, Progress, map_progress, run_task


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


def counting(log):
    try:
        for number in range(3):
            yield Progress(number, 3)
    finally:
        log.append("closed")
    return "result"


def test_a_task_is_run_to_its_result():
    log, steps = [], []
    assert run_task(counting(log), steps.append) == "result"
    assert [step.done for step in steps] == [0, 1, 2]
    assert run_task(counting(log)) == "result"
    assert log == ["closed", "closed"]


def test_what_a_listener_raises_cancels_the_task():
    log = []

    def stop(progress):
        if progress.done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_task(counting(log), stop)
    assert log == ["closed"]


def test_a_task_can_say_in_another_way_how_far_it_is():
    log, steps = [], []
    task = map_progress(counting(log), lambda at: Progress(10 * at.done, 30, "tens"))
    assert run_task(task, steps.append) == "result"
    assert steps == [Progress(0, 30, "tens"), Progress(10, 30, "tens"), Progress(20, 30, "tens")]
    other = map_progress(counting(log), lambda at: at)
    next(other)
    other.close()
    assert log == ["closed", "closed"]
