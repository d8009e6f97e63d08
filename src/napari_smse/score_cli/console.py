"""What is said in a shell: results and progress on stdout, warnings and errors on stderr."""

from __future__ import annotations

import logging

from rich.console import Console

from napari_smse.errors import SmseError

OUT = Console()
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
    OUT.print(text, style=style, soft_wrap=True, highlight=False, markup=False)


def tell(text: str, style: str | None = None) -> None:
    """Print a line on stderr as it is."""
    _err.print(text, style=style, markup=False)


def tell_error(error: SmseError | OSError) -> None:
    """Print an error in one line."""
    reason = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        reason = f"{error.filename} cannot be read or written: {error.strerror}; check the path"
    tell(f"error: {' '.join(reason.split())}", "red")
