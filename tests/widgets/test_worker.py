import gc
import re
import threading

import pytest

from napari_smse.errors import NoTissueError
from napari_smse.widgets.worker import ComputeLock, Worker

pytestmark = pytest.mark.gui


@pytest.fixture
def task(qtbot):
    made = Worker()
    made.heard, made.failures, made.ends = [], [], []
    made.progressed.connect(made.heard.append)
    made.errored.connect(made.failures.append)
    made.returned.connect(lambda result: made.ends.append(result))
    made.finishes = []
    made.finished.connect(lambda: made.finishes.append(True))
    return made


def test_everything_is_told_in_order_on_the_gui_thread(task, until):
    threads = set()
    task.progressed.connect(lambda _: threads.add(threading.get_ident()))

    def work():
        threads_of_work.add(threading.get_ident())
        yield from range(50)

    threads_of_work = set()
    task.start(work)
    until(lambda: task.ends == [None])
    assert task.heard == list(range(50))
    assert threads == {threading.get_ident()}
    assert threading.get_ident() not in threads_of_work
    assert not task.is_running
    assert task.finishes == [True]


def test_what_a_task_returns_is_handed_over_after_its_progress(task, until):
    order = []
    task.progressed.connect(lambda value: order.append(("progressed", value)))
    task.returned.connect(lambda value: order.append(("returned", value)))
    task.finished.connect(lambda: order.append(("finished", None)))

    def work():
        yield 1
        return "result"

    task.start(work)
    until(lambda: len(order) == 3)
    assert order == [("progressed", 1), ("returned", "result"), ("finished", None)]


def test_a_plain_function_may_be_work_too(task, until):
    task.start(lambda: "result")
    until(lambda: task.ends == ["result"])
    assert task.heard == []


def test_a_named_error_is_told_in_its_own_words(task, until):
    def work():
        yield 1
        raise NoTissueError("No tissue found on a.svs")

    task.start(work)
    until(lambda: bool(task.failures))
    assert task.failures == ["No tissue found on a.svs"]
    assert task.ends == []
    assert task.finishes == [True]
    assert not task.is_running


@pytest.mark.parametrize(
    ("error", "words"),
    [(MemoryError(), "Out of memory"), (ZeroDivisionError("x"), r"unforeseen.*ZeroDivisionError")],
)
def test_other_errors_are_told_with_what_to_do(task, until, error, words):
    def work():
        raise error
        yield

    task.start(work)
    until(lambda: bool(task.failures))
    assert re.search(words, task.failures[0])


def test_cancelled_work_is_closed_in_its_thread_and_no_longer_heard(task, qtbot, until):
    go_on, closed = threading.Event(), threading.Event()

    def work():
        try:
            yield "before"
            go_on.wait(10)
            yield "after"
            yield "never"
        finally:
            closed.set()

    task.start(work)
    until(lambda: task.heard == ["before"])
    assert task.cancel()
    assert not task.is_running
    go_on.set()
    assert closed.wait(10)
    qtbot.wait(50)
    assert task.heard == ["before"]
    assert task.ends == []
    assert not task.cancel()


def test_new_work_waits_until_the_old_has_let_go(task, qtbot, until):
    go_on, log = threading.Event(), []

    def old():
        try:
            yield "old"
            go_on.wait(10)
            yield "late"
        finally:
            log.append("old closed")

    def new():
        log.append("new began")
        yield "new"

    task.start(old)
    until(lambda: task.heard == ["old"])
    task.start(new)
    qtbot.wait(50)
    assert log == []
    go_on.set()
    until(lambda: task.ends == [None])
    assert log == ["old closed", "new began"]
    assert task.heard == ["old", "new"]


def test_paused_work_waits_and_goes_on(task, qtbot, until):
    steps, pressed = [], threading.Event()

    def pause(number):
        if number == 3:
            task.pause()
            pressed.set()

    def work():
        for number in range(200):
            if number == 4:
                pressed.wait(30)
            steps.append(number)
            yield number

    task.progressed.connect(pause)
    task.start(work)
    until(lambda: task.is_paused)
    until(lambda: len(steps) == 5)  # the last was under way
    qtbot.wait(250)
    assert steps == [0, 1, 2, 3, 4]
    assert task.ends == []
    task.resume()
    assert not task.is_paused
    until(lambda: task.ends == [None])
    assert task.heard == list(range(200))


@pytest.mark.parametrize("by", ["cancel", "closing"])
def test_paused_work_can_be_stopped(task, qtbot, until, by):
    closed = threading.Event()

    def work():
        try:
            while True:
                yield 1
        finally:
            closed.set()

    task.start(work)
    until(lambda: bool(task.heard))
    task.pause()
    qtbot.wait(50)
    task.cancel() if by == "cancel" else task.closing.set()
    until(closed.is_set)
    assert not (by == "cancel" and task.is_running)


def test_one_turn_is_held_at_a_time():
    scoring, training = (
        ComputeLock("A slide is being scored"),
        ComputeLock("A model is being trained"),
    )
    assert scoring.take() == ""
    assert scoring.take() == ""
    assert training.take().startswith("A slide is being scored: wait")
    scoring.give_back()
    scoring.give_back()
    assert training.take() == ""
    training.give_back()


def test_who_dies_blocks_nobody():
    gone = ComputeLock("gone")
    gone.take()
    del gone
    gc.collect()
    other = ComputeLock("other")
    assert other.take() == ""
    other.give_back()
