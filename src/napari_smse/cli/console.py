"""What commands print: reports and results on stdout, messages and errors on stderr."""

from __future__ import annotations

import io
import json
import logging
import math
import sys
from pathlib import Path
from typing import Any

import platformdirs
import typer
from rich.console import Console as RichConsole
from rich.table import Table

from napari_smse.errors import TRACEBACKS, InternalError, SmseError

_TRACEBACK_BYTES = 10**6
_STDERR = RichConsole(stderr=True, soft_wrap=True, highlight=False, emoji=False)


class Console:
    """Prints what a user wants to read: everything, errors only, or JSON on stdout.

    Parameters
    ----------
    quiet
        Print errors only.
    as_json
        Keep stdout for the JSON; what else is printed goes to stderr.

    Attributes
    ----------
    rich
        What reports are printed by, for progress bars that stand below them.
    """

    def __init__(self, *, quiet: bool = False, as_json: bool = False) -> None:
        self.quiet, self.as_json = quiet, as_json
        self.rich = RichConsole(stderr=as_json, quiet=quiet, emoji=False)
        if quiet:
            logging.getLogger("napari_smse").setLevel(logging.ERROR)

    def report(self, text: str, style: str | None = None) -> None:
        """Print a line as it is."""
        self.rich.print(text, style=style, soft_wrap=True, highlight=False, markup=False)

    def warn(self, text: str) -> None:
        """Print a warning."""
        self.report(f"warning: {text}", "yellow")

    def print_table(self, table: Table) -> None:
        """Print a table."""
        self.rich.print(table)

    def print_json(self, values: Any) -> None:
        """Print JSON on stdout, even if only errors are wanted; in ASCII, whatever its encoding."""
        typer.echo(json_text(values, ascii_only=True), nl=False)

    def message(self, text: str, style: str | None = None) -> None:
        """Print a line on stderr as it is, even if only errors are wanted."""
        _STDERR.print(text, style=style, markup=False)

    def error(self, error: SmseError | OSError) -> None:
        """Print an error in one line."""
        reason = str(error)
        if isinstance(error, OSError) and error.filename is not None:
            reason = f"{error.filename} cannot be read or written: {error.strerror}; check the path"
        elif isinstance(error, InternalError):
            reason = f"{error} ({traceback_file()})"
        self.message(f"error: {' '.join(reason.split())}", "red")


def json_text(values: Any, *, ascii_only: bool = False) -> str:
    """Return indented JSON; NaN, which JSON has not, becomes null.

    Parameters
    ----------
    values
        Lists, mappings with texts as keys, numbers, texts, or None.
    ascii_only
        Escape all other characters, else only those that UTF-8 has not.
    """
    text = json.dumps(_finite(values), indent=2, ensure_ascii=ascii_only, allow_nan=False) + "\n"
    return text.encode("utf-8", "backslashreplace").decode()  # what is no UTF-8, as JSON escapes it


def _finite(values: Any) -> Any:
    if isinstance(values, float) and not math.isfinite(values):
        return None
    if isinstance(values, dict):
        return {key: _finite(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_finite(value) for value in values]
    return values


def print_any_text() -> None:
    """Have stdout escape what its encoding lacks, as stderr does: a name may be in any."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def show_log() -> None:
    """Show this package's log; what libraries log of a damaged file, an error says better."""
    tracebacks = logging.getLogger(TRACEBACKS)
    tracebacks.handlers, tracebacks.propagate = [_Tracebacks()], False
    logging.getLogger().addHandler(logging.NullHandler())
    logging.getLogger("napari_smse").handlers = [_LogLines()]
    # `score` itself warns of scales that magnify a slide.
    logging.getLogger("napari_smse.slides").setLevel(logging.ERROR)


def traceback_file() -> Path:
    """Where tracebacks of internal errors are written."""
    return platformdirs.user_log_path("napari-smse") / "internal_errors.log"


class _LogLines(logging.Handler):
    """Prints what this package logs, in the manner of its errors."""

    def emit(self, record: logging.LogRecord) -> None:
        Console().message(f"{record.levelname.lower()}: {record.getMessage()}")


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
            return  # the error itself is printed
