"""Runs the tasks of all packages for a script, and hands their progress to a function."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from typing import Any, TypeVar, cast

from napari_smse.progress import Progress

T = TypeVar("T")
_PER_MILLE = 1000


OnProgress = Callable[[Progress], object]
"""Is called as work goes on; what it raises ends the work."""


def run_task(
    task: Iterable[object], on_progress: OnProgress | None = None, result: type[T] | None = None
) -> T:
    """Run a generator to its end, and return its result.

    The result is what the generator returns, or else the last thing of the type `result` that it
    yields, by itself or as an attribute.

    Parameters
    ----------
    task
        The generator. It is closed if `on_progress` raises, which is how work is cancelled.
    on_progress
        Told how far it is.
    result
        The type of the result, where the generator yields it.
    """
    if not isinstance(task, Generator):
        task = (said for said in task)
    found: T | None = None
    with closing(task):
        while True:
            try:
                said = next(task)
            except StopIteration as end:
                # A task whose result is None has none to yield either.
                return cast(T, found if end.value is None else end.value)
            if result is not None and (part := _part_of(said, result)) is not None:
                found = part
                continue
            if on_progress is not None:
                on_progress(_progress(said))


def _part_of(said: object, kind: type[T]) -> T | None:
    if isinstance(said, kind):
        return said
    for value in getattr(said, "__dict__", {}).values():
        if isinstance(value, kind):
            return value
    return None


def _progress(said: Any) -> Progress:
    """Return what a task yields, a record of its own or a bare figure, as progress."""
    if isinstance(said, Progress):
        return said
    if isinstance(said, float):
        return Progress(round(said * _PER_MILLE), _PER_MILLE)
    if isinstance(said, tuple) and len(said) == 2:
        return Progress(int(said[0]), int(said[1]))
    done, total, message = (
        next((getattr(said, name) for name in names if hasattr(said, name)), None)
        for names in (("done", "step"), ("total", "steps"), ("message", "text", "doing"))
    )
    return Progress(done or 0, total or 0, message or "")
