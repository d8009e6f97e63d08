"""Long work as a task: a generator that yields its progress and returns its result."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True)
class Progress:
    """How far work is.

    Attributes
    ----------
    done, total
        Units of the work, whatever these are; a total of 0 if their number is not known.
    message
        What is being done, for a person; empty where the numbers say it.
    seconds_left
        Expected time to the end; None if that cannot be said.
    detail
        What is new, for whoever shows more than a bar.
    """

    done: int = 0
    total: int = 0
    message: str = ""
    seconds_left: float | None = None
    detail: object = None


Task = Generator[Progress, None, Result]
"""Work that yields `Progress` and returns its result. Closing it cancels the work."""


OnProgress = Callable[[Progress], object]
"""Called as work goes on; what it raises cancels the work."""


def run_task(task: Task[Result], on_progress: OnProgress | None = None) -> Result:
    """Run a task to its end, for scripts and the shell.

    Parameters
    ----------
    task
        The work.
    on_progress
        Called with each progress; what it raises cancels the work.

    Returns
    -------
    Result
        What the task returns.
    """
    try:
        while True:
            progress = next(task)
            if on_progress is not None:
                on_progress(progress)
    except StopIteration as end:
        result: Result = end.value
        return result
    finally:
        task.close()


def map_progress(task: Task[Result], convert: Callable[[Progress], Progress]) -> Task[Result]:
    """Do the work of a task, and say in another way how far it is.

    Parameters
    ----------
    task
        The work.
    convert
        Takes a progress of the task, and returns the one to yield.
    """
    with closing(task):
        while True:
            try:
                progress = next(task)
            except StopIteration as end:
                result: Result = end.value
                return result
            yield convert(progress)


class Eta:
    """Expects how long work will still take, by its speed since it last began or resumed."""

    def __init__(self) -> None:
        self._since: tuple[float, int] | None = None

    def begin(self) -> None:
        """Begin anew, also after a pause."""
        self._since = None

    def seconds_left(self, done: int, total: int) -> float | None:
        """Return the seconds left; None until that can be said."""
        now = time.monotonic()
        if self._since is None or done < self._since[1]:
            self._since = now, done
            return None
        then, done_then = self._since
        if done == done_then:
            return None
        return (now - then) / (done - done_then) * (total - done)
