"""Tasks, run to their end."""

from __future__ import annotations

from typing import TypeVar

from napari_smse.progress import Progress, Task, run_task

Result = TypeVar("Result")


def run_and_record(task: Task[Result]) -> tuple[list[Progress], Result]:
    """Return what a task yields on its way, and what it returns."""
    seen: list[Progress] = []
    return seen, run_task(task, seen.append)
