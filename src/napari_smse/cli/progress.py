"""What a user sees while slides are scored: bars, a line for each slide, and what failed."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as ProgressBar

from napari_smse.cli.console import OUT, print_error, say
from napari_smse.errors import named_error
from napari_smse.scoring import Progress


class BatchProgress:
    """Shows how many slides of all are done, and the tiles of what is scored now.

    Parameters
    ----------
    slides
        How many there are.
    quiet
        Show errors only.
    """

    def __init__(self, slides: int, *, quiet: bool) -> None:
        self.failed = 0
        self._several, self._started = slides > 1, False
        self._quiet = quiet
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[pace]}"),
        )
        self._bar = ProgressBar(*columns, console=OUT, disable=quiet)
        self._slides = self._bar.add_task("slides", total=slides, pace="", visible=self._several)
        self._tiles = self._bar.add_task("tiles", total=None, pace="", visible=False)

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
        """Print a line, unless only errors are asked for."""
        if not self._quiet:
            say(text)

    def warn(self, warnings: Iterable[str]) -> None:
        """Print warnings."""
        for warning in warnings:
            if not self._quiet:
                say(f"warning: {warning}", "yellow")

    def tiles(self, what: str, progress: Progress) -> None:
        """Show how far tiles are."""
        self._start()
        self._bar.update(
            self._tiles,
            description=what,
            completed=progress.done,
            total=progress.total,
            pace=_pace(progress),
            visible=True,
        )

    def done(self, line: str) -> None:
        """Count a slide as done, with a line about it."""
        self.report(line)
        self._bar.advance(self._slides)

    def fail(self, error: Exception, slide: str) -> None:
        """Count a slide as failed, and say why, whatever it is: the others go on."""
        print_error(named_error(error, slide))
        self.failed += 1
        self._bar.advance(self._slides)


def _pace(progress: Progress) -> str:
    if progress.seconds_left is None:
        return ""
    return f"{progress.rate:.0f} tiles/s, {progress.seconds_left:.0f} s left"
