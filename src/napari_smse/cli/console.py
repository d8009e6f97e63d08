"""What a shell prints: results and progress on stdout, warnings and errors on stderr."""

from __future__ import annotations

import io
import json
import logging
import math
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs
import typer
from rich.console import Console
from rich.table import Table

from napari_smse.errors import TRACEBACKS, DataError, InternalError, OutputError, SmseError

if TYPE_CHECKING:
    from napari_smse.datasets.labelled_set import LabelledSet
    from napari_smse.evaluation.scale_curve import ScalePoint
    from napari_smse.metrics.summary import Summary


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


def print_error(error: SmseError | OSError) -> None:
    """Print an error in one line."""
    reason = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        reason = f"{error.filename} cannot be read or written: {error.strerror}; check the path"
    elif isinstance(error, InternalError):
        reason = f"{error} ({traceback_file()})"
    tell(f"error: {' '.join(reason.split())}", "red")


class Speaker:
    """Says what a user asked to hear: all, nothing but errors, or JSON on stdout.

    Parameters
    ----------
    quiet
        Say errors only.
    as_json
        Keep stdout for the JSON; what else is said goes to stderr.
    """

    def __init__(self, *, quiet: bool = False, as_json: bool = False) -> None:
        self.quiet = quiet
        self.as_json = as_json
        self.console = Console(stderr=as_json, quiet=quiet)
        self.errors = Console(stderr=True, soft_wrap=True, highlight=False)
        if quiet:
            logging.getLogger("napari_smse").setLevel(logging.ERROR)

    def say(self, text: str, style: str | None = None) -> None:
        """Print a line as it is."""
        self.console.print(text, style=style, soft_wrap=True, highlight=False, markup=False)

    def warn(self, text: str) -> None:
        """Print a warning."""
        self.say(f"warning: {text}", "yellow")

    def show(self, table: Table) -> None:
        """Print a table."""
        self.console.print(table)

    def print_json(self, values: Any) -> None:
        """Print JSON on stdout, whatever else was asked for."""
        typer.echo(json_text(values), nl=False)


def json_text(values: Any) -> str:
    """Return indented JSON; NaN, which JSON has not, becomes null."""
    text = json.dumps(_finite(values), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", "backslashreplace").decode()  # what is no UTF-8, as JSON escapes it


def _finite(values: Any) -> Any:
    if isinstance(values, float) and not math.isfinite(values):
        return None
    if isinstance(values, dict):
        return {key: _finite(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_finite(value) for value in values]
    return values


def read_data(path: Path, mpp: float | None, speaker: Speaker) -> LabelledSet:
    """Read labelled images, and say what was found and what was skipped.

    Raises
    ------
    DataError
        There is nothing at the path, or nothing that can be used.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist: give a folder of labelled images, or a list.")
    from napari_smse.datasets.loading import read_training_set

    found = read_training_set(path, mpp=mpp)
    report_data(found, speaker)
    return found


def report_data(found: LabelledSet, speaker: Speaker) -> None:
    """Say what was found and what was skipped."""
    images, cases = found.count()
    for name in found.classes:
        speaker.say(f"{name}: {images[name]} images of {cases[name]} cases")
    reasons = Counter(one.reason for one in found.skipped)
    for reason, number in reasons.most_common(5):
        first = next(one.path for one in found.skipped if one.reason == reason)
        more = f" and {number - 1} more" if number > 1 else ""
        speaker.warn(f"skipped {first}{more}: {reason}")
    if len(reasons) > 5:
        speaker.warn(f"{len(found.skipped)} files skipped in all, for {len(reasons)} reasons")


def check_folder(path: Path, what: str) -> None:
    """Refuse to start long work whose result could not be written.

    Raises
    ------
    OutputError
        The path's folder does not exist.
    """
    if not path.parent.is_dir():
        raise OutputError(f"cannot write {what} {path}: its folder does not exist; create it first")


def metric_table(summary: Summary) -> Table:
    """Return all figures with their intervals."""
    from napari_smse.evaluation.report.tables import shown

    table = Table(box=None, pad_edge=False)
    table.add_column("figure")
    table.add_column("value (95 % interval by cases)", justify="right")
    for name, one in summary.estimates.items():
        if one.value is not None:
            table.add_row(name.replace("_", " "), shown(one))
    return table


def scale_line(point: ScalePoint) -> str:
    """Say what images are worth at one scale."""
    if math.isnan(point.auc):
        return f"{point.mpp:g} um/px: no AUC, as a class has no image whose pixels support it"
    return (
        f"{point.mpp:g} um/px: AUC {point.auc:.3f} ({point.low:.3f} to {point.high:.3f}), "
        f"{point.images} images of {point.cases} cases"
    )


def magnification_table(summary: Summary) -> Table:
    """Return image accuracy, patient recognition rate and AUC by magnification."""
    from napari_smse.evaluation.report.tables import percent, shown

    table = Table(box=None, pad_edge=False)
    table.add_column("scale")
    for head in ("images", "cases", "accuracy, %", "patient rate, %", "AUC"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in summary.magnifications:
        table.add_row(
            row.magnification,
            str(row.images),
            str(row.cases),
            percent(row.accuracy_by_fold),
            percent(row.patient_by_fold),
            shown(row.estimates["auc"]),
        )
    return table
