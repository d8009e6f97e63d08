"""Small tables that people write."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_smse.datasets.readers.csv_rows import read_csv_rows
from napari_smse.errors import DataError


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_every_dialect_says_the_same(
    tmp_path: Path, delimiter: str, ending: str, mark: str
) -> None:
    lines = [("Path", " label ", "case"), ("a b.png", "benign", "1"), ("ä.png", "malignant", "")]
    text = mark + ending.join(delimiter.join(line) for line in lines) + ending * 2
    table = read_csv_rows(written(tmp_path, text), ("path", "label"))
    assert table.columns == ("path", "label", "case")
    assert table.rows == (
        {"path": "a b.png", "label": "benign", "case": "1"},
        {"path": "ä.png", "label": "malignant", "case": ""},
    )


def test_quotes_hold_delimiters_and_line_breaks(tmp_path: Path) -> None:
    table = read_csv_rows(written(tmp_path, 'path,note\n"a,b.png","says ""x""\r\ntwice"\n'))
    assert table.rows == ({"path": "a,b.png", "note": 'says "x"\r\ntwice'},)


def test_rows_too_short_and_too_long(tmp_path: Path) -> None:
    table = read_csv_rows(written(tmp_path, "a,b\n1\n1,2,3\n"))
    assert table.rows == ({"a": "1", "b": ""}, {"a": "1", "b": "2"})


def test_one_column_is_a_table(tmp_path: Path) -> None:
    assert read_csv_rows(written(tmp_path, "slide\nx\n")).rows == ({"slide": "x"},)


def test_missing_columns_are_named_with_those_that_are_there(tmp_path: Path) -> None:
    path = written(tmp_path, "file,label\n")
    with pytest.raises(DataError, match=r"lacks the column path, case or block \(it has: file, "):
        read_csv_rows(path, ("path", "label", "case|block"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\r\n", "is empty"),
        (b"path,label\nf\xfcr.png,benign\n", "not UTF-8"),
        (b"path,label\nf\0r.png,benign\n", "zero byte"),
        ("path,label\n" + "x" * 200_000 + ",benign\n", "is no table"),
    ],
    ids=["nothing", "blank", "latin-1", "zero byte", "huge cell"],
)
def test_what_is_no_table(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(DataError, match=message) as raised:
        read_csv_rows(path)
    assert str(path) in str(raised.value)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv cannot be read \(No such file"):
        read_csv_rows(tmp_path / "none.csv")
