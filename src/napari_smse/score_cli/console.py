"""What is said in a shell: results and progress on stdout, warnings and errors on stderr."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as ProgressBar

from napari_smse.errors import SmseError
from napari_smse.scoring import Progress

_out = Console()
_err = Console(stderr=True, soft_wrap=True, highlight=False)


class _LogLines(logging.Handler):
    """What this package logs, in the manner of its errors."""

    def emit(self, record: logging.LogRecord) -> None:
        tell(f"{record.levelname.lower()}: {record.getMessage()}")


def show_log() -> None:
    """Show this package's log; what libraries say of a damaged file, an error says better."""
    logging.getLogger().addHandler(logging.NullHandler())
    logging.getLogger("napari_smse").handlers = [_LogLines()]
    # `score` itself warns of scales that magnify a slide.
    logging.getLogger("napari_smse.slides").setLevel(logging.ERROR)


def say(text: str, style: str | None = None) -> None:
    """Print a line on stdout as it is."""
    _out.print(text, style=style, soft_wrap=True, highlight=False, markup=False)


def tell(text: str, style: str | None = None) -> None:
    """Print a line on stderr as it is."""
    _err.print(text, style=style, markup=False)


def tell_error(error: SmseError | OSError) -> None:
    """Print an error in one line."""
    reason = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        reason = f"{error.filename} cannot be read or written: {error.strerror}; check the path"
    tell(f"error: {' '.join(reason.split())}", "red")


def show_progress(running: Iterator[Progress], name: str, *, quiet: bool) -> None:
    """Run to the end behind a progress bar."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"),
    )
    with ProgressBar(*columns, console=_out, disable=quiet) as bar:
        task = bar.add_task(name, total=None, pace="")
        for progress in running:
            bar.update(task, completed=progress.done, total=progress.total, pace=_pace(progress))


def _pace(progress: Progress) -> str:
    if progress.seconds_left is None:
        return ""
    return f"{progress.rate:.0f} tiles/s, {progress.seconds_left:.0f} s left"
