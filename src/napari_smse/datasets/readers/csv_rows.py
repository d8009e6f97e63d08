"""Small tables that people write: any of comma, semicolon and tab, with or without a BOM."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_smse.errors import DataError


@dataclass(frozen=True)
class CsvRows:
    """A table read as text.

    Attributes
    ----------
    columns
        Names from the first line, lower case and stripped.
    rows
        Cells by column name; one that is missing is empty.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]


def read_csv_rows(path: Path, required: Sequence[str] = ()) -> CsvRows:
    """Read a table.

    Parameters
    ----------
    path
        UTF-8 text whose first line names the columns.
    required
        Columns that must be there; "case|block" accepts either.

    Raises
    ------
    DataError
        It cannot be read, or lacks a required column; the message names what is there.
    """
    lines = _text(path).splitlines(keepends=True)
    if not lines or not lines[0].strip():
        raise DataError(f"{path} is empty: its first line must name the columns.")
    try:
        cells = list(csv.reader(lines, delimiter=delimiter_of(lines[0])))
    except csv.Error as error:
        raise DataError(f"{path} is no table ({error}): save it as CSV in UTF-8.") from error
    columns = tuple(name.strip().lower() for name in cells[0])
    _require(path, columns, required)
    return CsvRows(path, columns, tuple(_row(columns, row) for row in cells[1:] if any(row)))


def _text(path: Path) -> str:
    try:
        # newline="" keeps line breaks inside quoted cells as they are.
        with path.open(newline="", encoding="utf-8-sig") as stream:
            text = stream.read()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): check the path.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: save it as CSV in UTF-8.") from error
    if "\0" in text:  # which no path may hold
        raise DataError(f"{path} holds a zero byte: save it as CSV in UTF-8.")
    return text


def delimiter_of(header: str) -> str:
    """Return what stands between the columns that the first line of a table names."""
    # On the header alone, and only for the delimiter: the sniffer's guess at quoting is worse
    # than csv's own rules.
    try:
        return csv.Sniffer().sniff(header, delimiters=",;\t").delimiter
    except csv.Error:
        return ","


def _require(path: Path, columns: Sequence[str], required: Sequence[str]) -> None:
    missing = [names for names in required if not set(names.split("|")) & set(columns)]
    if missing:
        missing_names = ", ".join(names.replace("|", " or ") for names in missing)
        column_names = ", ".join(columns)
        raise DataError(
            f"{path} lacks the column {missing_names} (it has: {column_names}): add it."
        )


def _row(columns: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    padded = [*cells, *[""] * (len(columns) - len(cells))]
    return {name: cell.strip() for name, cell in zip(columns, padded, strict=False)}
