"""Columns of numbers of a table that any program or person wrote, CSV or Parquet.

CSV is of any of comma, semicolon and tab; with the latter two numbers may have a decimal comma, as
spreadsheets write them in German or French.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from napari_smse.datasets.readers.csv_rows import delimiter_of
from napari_smse.errors import DataError

_LONGEST_HEADER: Final = 10_000
_NUMBER: Final = r"^(?i)[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf|infinity|nan)$"
_MOST_TEXT: Final = 0.05
"""Of the cells of a column of numbers that are none, by mistake; a column with more is of text."""


@dataclass(frozen=True)
class NumberTable:
    """The columns of a table that hold numbers.

    Attributes
    ----------
    path
        The file.
    names
        Of all columns, those of text, too.
    numbers
        By name ``(n,)``; NaN where a cell is empty.
    first_row
        What its readers call the first row of numbers: of CSV the names are row 1.
    """

    path: Path
    names: tuple[str, ...]
    numbers: dict[str, NDArray[np.float64]]
    first_row: int

    def require_sizes(self, name: str, sizes: NDArray[np.float64]) -> None:
        """Refuse a column with what is no size.

        Raises
        ------
        DataError
            One is missing, not finite, or not above 0.
        """
        wrong = np.flatnonzero(~(np.isfinite(sizes) & (sizes > 0)))
        if len(wrong):
            row, size = self.first_row + wrong[0], sizes[wrong[0]]
            raise DataError(
                f"{self.path} has {'nothing' if np.isnan(size) else f'{size:g}'} in column {name}, "
                f"row {row}, which is no size of a tile: give it in level-0 px, above 0."
            )


def read_number_table(path: Path, ignored: Collection[str] = ()) -> NumberTable:
    """Read the columns of numbers; those of text are left out.

    Parameters
    ----------
    path
        Parquet if it is called so, else CSV.
    ignored
        Columns, in lower case, that need not be numbers, even if nearly all of their cells are.

    Raises
    ------
    DataError
        A cell is no number in a column where nearly all others are.
    OSError, ValueError
        It cannot be read; pyarrow raises these.
    """
    table, has_commas, first_row = _read(path)
    columns: dict[str, NDArray[np.float64]] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        text = _text(column, has_commas=has_commas)
        if text is None:
            if _is_number(column.type):
                # Unsafe, as float64 holds not all long numbers that some identify tiles by.
                columns[name.strip()] = column.cast(pa.float64(), safe=False).to_numpy()
            continue
        wrong = ~pc.match_substring_regex(text, _NUMBER).to_numpy()
        if not wrong.any():
            columns[name.strip()] = np.array(text.to_pylist(), dtype=np.float64)
        elif _is_mistake(wrong, text) and name.strip().lower() not in ignored:
            row = int(wrong.argmax())
            raise DataError(
                f"{path} has {column[row].as_py()!r} in column {name.strip()}, row "
                f"{first_row + row}, where the others have numbers: write a number there, or "
                "nothing."
            )
    return NumberTable(path, tuple(one.strip() for one in table.column_names), columns, first_row)


def _read(path: Path) -> tuple[pa.Table, bool, int]:
    """Return the table, whether numbers may have commas, and what its first row is called."""
    with path.open("rb") as stream:
        if path.suffix.lower() == ".parquet":
            return pa.parquet.read_table(stream), False, 1
        header = stream.readline(_LONGEST_HEADER).decode("utf-8-sig", "replace")
        stream.seek(0)
        delimiter = delimiter_of(header)
        return _read_csv(stream, delimiter), delimiter != ",", 2


def _read_csv(stream: IO[bytes], delimiter: str) -> pa.Table:
    return pa.csv.read_csv(
        stream,
        parse_options=pa.csv.ParseOptions(delimiter=delimiter),
        convert_options=pa.csv.ConvertOptions(strings_can_be_null=True),
    )


def _is_number(kind: pa.DataType) -> bool:
    # Of a column without any value a CSV file says no type.
    is_any = (pa.types.is_integer, pa.types.is_floating, pa.types.is_null)
    return any(is_kind(kind) for is_kind in is_any)


def _text(column: pa.ChunkedArray, *, has_commas: bool) -> pa.ChunkedArray | None:
    """Return text trimmed and with decimal points, "nan" where there is none; None of others."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return None
    text = pc.utf8_trim_whitespace(column)
    text = pc.replace_substring(text, ",", ".") if has_commas else text
    return pc.if_else(pc.fill_null(pc.equal(text, ""), True), "nan", text)


def _is_mistake(wrong: NDArray[np.bool_], text: pa.ChunkedArray) -> bool:
    """Whether cells are no numbers by mistake, as nearly all others that say something are."""
    told = int(pc.sum(pc.not_equal(text, "nan")).as_py())
    return bool(0 < wrong.sum() <= max(1, _MOST_TEXT * told) and told > 2)
