"""What goes to stdout, to stderr, and nowhere."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
from rich.table import Table

from napari_smse.cli.console import Console, json_text, traceback_file
from napari_smse.errors import DataError, InternalError


@pytest.fixture(autouse=True)
def log_level() -> Iterator[None]:
    log = logging.getLogger("napari_smse")
    level = log.level
    yield
    log.setLevel(level)


def print_all(console: Console) -> None:
    table = Table("figure")
    table.add_row("0.9")
    console.report("a report")
    console.warn("a warning")
    console.print_table(table)
    console.message("a message")
    console.error(DataError("no\ndata"))


def test_reports_go_to_stdout_and_errors_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    print_all(Console())
    printed = capsys.readouterr()
    for words in ("a report\n", "warning: a warning\n", "0.9"):
        assert words in printed.out
    assert printed.err == "a message\nerror: no data\n"


def test_quiet_leaves_messages_and_errors(capsys: pytest.CaptureFixture[str]) -> None:
    print_all(Console(quiet=True))
    assert tuple(capsys.readouterr()) == ("", "a message\nerror: no data\n")
    assert logging.getLogger("napari_smse").level == logging.ERROR


def test_json_has_stdout_to_itself(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(as_json=True)
    print_all(console)
    console.print_json({"auc": float("nan"), "images": (1, 2)})
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"auc": None, "images": [1, 2]}
    assert "a report" in printed.err


def test_a_line_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    line = "/slides/[bold]case :smile: 1[/bold]/" + "long " * 60
    Console().report(line)
    Console().message(line)
    assert tuple(capsys.readouterr()) == (line + "\n", line + "\n")


def test_errors_name_the_file_or_where_the_traceback_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Console().error(FileNotFoundError(2, "No such file", "gone.tif"))
    Console().error(InternalError("internal error"))
    first, second = capsys.readouterr().err.splitlines()
    assert first == "error: gone.tif cannot be read or written: No such file; check the path"
    assert second == f"error: internal error ({traceback_file()})"


def test_json_on_stdout_needs_ascii_only(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["café", "caf\udce9"]
    Console().print_json(names)
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert json.loads(printed) == names


def test_json_text_is_utf_8_whatever_a_name_is() -> None:
    text = json_text({"name": "caf\udce9 é"})
    assert json.loads(text.encode("utf-8"))["name"] == "caf\udce9 é"
