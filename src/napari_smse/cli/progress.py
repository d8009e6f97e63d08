"""Progress in a shell: one bar for one task, and bars and lines for many slides."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as RichProgress

from napari_smse.cli.console import Console
from napari_smse.errors import named_error
from napari_smse.progress import Progress
from napari_smse.scoring import ScoringProgress


def _rich_progress(
    console: Console, *more: ProgressColumn, transient: bool = False
) -> RichProgress:
    """Return the look that all bars have; each task has a field `facts`."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(24),
        MofNCompleteColumn(),
        *more,
        TextColumn("{task.fields[facts]}", markup=False),
    )
    return RichProgress(*columns, console=console.rich, disable=console.quiet, transient=transient)


class TaskProgress:
    """A bar for one task, which goes when the task ends; nothing where there is no terminal.

    Parameters
    ----------
    console
        Where to show it.
    description
        What is being done.
    """

    def __init__(self, console: Console, description: str) -> None:
        self._bar = _rich_progress(console, TimeElapsedColumn(), transient=True)
        self._task = self._bar.add_task(description, total=None, facts="")
        self._shown = console.rich.is_interactive and not console.quiet

    def __enter__(self) -> TaskProgress:
        if self._shown:  # else it would still print an empty line
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._shown:
            self._bar.stop()

    def show(self, progress: Progress) -> None:
        """Show how far the task is."""
        self.update(progress.done, progress.total)

    def update(
        self,
        done: int | None = None,
        total: int | None = None,
        *,
        description: str | None = None,
        facts: str | None = None,
    ) -> None:
        """Show how far the task is; None leaves what is shown.

        Parameters
        ----------
        done, total
            Steps, images or folds.
        description
            What is being done.
        facts
            More to show beside the bar.
        """
        self._bar.update(self._task, description=description, completed=done, total=total)
        if facts is not None:
            self._bar.update(self._task, facts=facts)


class BatchProgress:
    """Shows how many slides of all are done, the tiles of what is scored now, and what failed.

    Parameters
    ----------
    console
        Where to show it.
    slides
        How many there are.

    Attributes
    ----------
    failed
        How many slides have failed so far.
    """

    def __init__(self, console: Console, slides: int) -> None:
        self.failed = 0
        self._console = console
        self._several, self._started = slides > 1, False
        self._bar = _rich_progress(console)
        self._slides = self._bar.add_task("slides", total=slides, facts="", visible=self._several)
        self._tiles = self._bar.add_task("tiles", total=None, facts="", visible=False)

    def __enter__(self) -> BatchProgress:
        if self._several:
            self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._started:  # else it would still print an empty line
            self._bar.stop()

    def _start(self) -> None:
        if not self._started:
            self._bar.start()
            self._started = True

    def report(self, text: str) -> None:
        """Print a line, unless only errors are wanted."""
        self._console.report(text)

    def warn(self, warnings: Iterable[str]) -> None:
        """Print warnings, unless only errors are wanted."""
        for warning in warnings:
            self._console.warn(warning)

    def tiles(self, what: str, progress: Progress) -> None:
        """Show how far tiles are."""
        self._start()
        self._bar.update(
            self._tiles,
            description=what,
            completed=progress.done,
            total=progress.total,
            facts=_speed(progress),
            visible=True,
        )

    def done(self, line: str) -> None:
        """Count a slide as done, with a line about it."""
        self.report(line)
        self._bar.advance(self._slides)

    def fail(self, error: Exception, slide: str) -> None:
        """Count a slide as failed, and print why, whatever it is: the others go on."""
        self._console.error(named_error(error, slide))
        self.failed += 1
        self._bar.advance(self._slides)


def _speed(progress: Progress) -> str:
    if progress.seconds_left is None or not isinstance(progress, ScoringProgress):
        return ""
    return f"{progress.rate:.0f} tiles/s, {progress.seconds_left:.0f} s left"
