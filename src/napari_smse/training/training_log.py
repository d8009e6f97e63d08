"""What a training did, step by step: CSV for everyone, TensorBoard where it is installed."""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TextIO

_log = logging.getLogger(__name__)

TRAINING_CSV: Final = "training.csv"
HELD_OUT_CSV: Final = "held_out.csv"
TENSORBOARD_FOLDER: Final = "tensorboard"


class TrainingLog:
    """Writes the figures of a training, and goes on with those of one that was stopped.

    Each kind of figures has a CSV file whose first column is the step; rows beyond the step that a
    training goes on from, or cut off by a kill, are dropped.

    Parameters
    ----------
    folder
        Where the files lie.
    step, checked
        Last step whose losses, and whose figures on the validation cases, are kept.
    """

    def __init__(self, folder: Path, step: int = 0, checked: int = 0) -> None:
        self._tables = {
            TRAINING_CSV: _Table(folder / TRAINING_CSV, step),
            HELD_OUT_CSV: _Table(folder / HELD_OUT_CSV, checked),
        }
        self._board = _open_board(folder / TENSORBOARD_FOLDER, step)

    def write_step(self, step: int, figures: Mapping[str, float]) -> None:
        """Write the losses and the learning rate of a step."""
        self._write(TRAINING_CSV, "training", step, figures)

    def write_held_out(self, step: int, figures: Mapping[str, float]) -> None:
        """Write the figures on the validation cases after a step."""
        self._write(HELD_OUT_CSV, "held out", step, figures)

    def close(self) -> None:
        """Close all files."""
        for table in self._tables.values():
            table.close()
        if self._board is not None:
            self._board.close()

    def _write(self, table: str, group: str, step: int, figures: Mapping[str, float]) -> None:
        self._tables[table].write(step, figures)
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(f"{group}/{name}", value, step)


class _Table:
    """A CSV file that rows are added to, each whole line flushed."""

    def __init__(self, path: Path, last: int) -> None:
        self._path = path
        self._stream: TextIO | None = None
        header, rows = _rows_up_to(path, last)
        if rows:
            _replace(path, [header, *rows])
        else:
            path.unlink(missing_ok=True)

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        if self._stream is None:
            new = not self._path.exists()
            self._stream = self._path.open("a", newline="", encoding="utf-8")
            if new:
                self._add(["step", *figures])
        self._add([str(step), *(f"{value:.6g}" for value in figures.values())])

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _add(self, row: list[str]) -> None:
        assert self._stream is not None
        csv.writer(self._stream).writerow(row)
        self._stream.flush()


def _rows_up_to(path: Path, last: int) -> tuple[list[str], list[list[str]]]:
    """Return the header, and the whole rows up to a step."""
    if not path.exists():
        return [], []
    text = path.read_text(encoding="utf-8", errors="replace")
    # What follows the last line break was being written when the training was killed.
    lines = text[: text.rfind("\n") + 1].splitlines()
    header, *rows = list(csv.reader(lines)) or [[]]
    whole = [row for row in rows if len(row) == len(header) and row[0].isdigit()]
    return header, [row for row in whole if int(row[0]) <= last]


def _replace(path: Path, rows: list[list[str]]) -> None:
    part = path.with_name(f".{path.name}.part")
    with part.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    part.replace(path)


def _open_board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        _log.info("TensorBoard is not installed, so the figures are written as CSV only.")
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)
