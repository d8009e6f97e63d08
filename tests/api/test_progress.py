"""Whatever a generator yields becomes progress, and its result comes back."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from napari_smse.api.progress import Progress, run_task


@dataclass(frozen=True)
class Steps:
    step: int
    steps: int


@dataclass(frozen=True)
class Ended:
    done: int
    total: int
    answer: str | None = None


@dataclass(frozen=True)
class Stage:
    text: str


def test_a_returned_result_and_progress_of_any_kind():
    def work():
        yield Stage("Loading")
        yield Steps(1, 4)
        yield 0.5
        yield 2, 3
        yield Progress(1, 2, "Now")
        return "answer"

    told = []
    assert run_task(work(), told.append) == "answer"
    assert told == [
        Progress(message="Loading"),
        Progress(1, 4),
        Progress(500, 1000),
        Progress(2, 3),
        Progress(1, 2, "Now"),
    ]


@pytest.mark.parametrize("last", ["answer", Ended(2, 2, "answer")])
def test_a_result_that_is_yielded(last):
    def work():
        yield Ended(1, 2)
        yield last

    told = []
    assert run_task(work(), told.append, str) == "answer"
    assert told == [Progress(1, 2)]
    assert run_task(iter([last]), None, str) == "answer"


def test_what_progress_raises_closes_the_task():
    closed = []

    def work():
        try:
            yield 0.1
            yield 0.2
        finally:
            closed.append(True)

    def stop(_progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_task(work(), stop)
    assert closed == [True]
