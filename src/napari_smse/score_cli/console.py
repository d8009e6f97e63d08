"""What is said in a shell: results and progress on stdout, warnings and errors on stderr."""

from __future__ import annotations

import io
import logging
import sys
from pathlib import Path

import platformdirs
from rich.console import Console

from napari_smse.errors import TRACEBACKS, InternalError, SmseError

OUT = Console()
_TRACEBACK_BYTES = 10**6
_err = Console(stderr=True, soft_wrap=True, highlight=False)


class _LogLines(logging.Handler):
    """What this package logs, in the manner of its errors."""

    def emit(self, record: logging.LogRecord) -> None:
        tell(f"{record.levelname.lower()}: {record.getMessage()}")


class _Tracebacks(logging.Handler):
    """Keeps what a report of an internal error needs, in a file that does not grow for ever."""

    def emit(self, record: logging.LogRecord) -> None:
        path = traceback_file()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            full = path.exists() and path.stat().st_size > _TRACEBACK_BYTES
            with path.open(
                "w" if full else "a", encoding="utf-8", errors="backslashreplace"
            ) as log:
                log.write(f"{self.format(record)}\n")
        except OSError:
            return  # the error itself is told


def traceback_file() -> Path:
    """Where tracebacks of internal errors are written."""
    return platformdirs.user_log_path("napari-smse") / "internal_errors.log"


def print_any_text() -> None:
    """Have stdout escape what its encoding lacks, as stderr does: a name may be in any."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def show_log() -> None:
    """Show this package's log; what libraries say of a damaged file, an error says better."""
    tracebacks = logging.getLogger(TRACEBACKS)
    tracebacks.handlers, tracebacks.propagate = [_Tracebacks()], False
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
    elif isinstance(error, InternalError):
        reason = f"{error} ({traceback_file()})"
    tell(f"error: {' '.join(reason.split())}", "red")
