"""Bars and lines of progress, in a terminal and elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console as RichConsole

from napari_smse.cli.console import Console
from napari_smse.cli.progress import BatchProgress, TaskProgress
from napari_smse.errors import DataError
from napari_smse.progress import Progress


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Console:
    """A console whose reports go to a terminal of 120 columns; its text is in `rich.file`."""
    console = Console()
    monkeypatch.setenv("TERM", "xterm")  # whatever the tests are run in
    console.rich = RichConsole(file=io.StringIO(), force_terminal=True, width=120, emoji=False)
    return console


def text(console: Console) -> str:
    return console.rich.file.getvalue()


def test_a_task_shows_how_far_it_is(terminal: Console) -> None:
    with TaskProgress(terminal, "training") as bar:
        bar.update(3, 10, facts="loss [0.5]")
        bar.update(description="checking")
    for words in ("checking", "3/10", "loss [0.5]"):
        assert words in text(terminal)


@pytest.mark.parametrize(("quiet", "as_json"), [(False, False), (True, False), (False, True)])
def test_without_a_terminal_a_task_prints_nothing(
    capsys: pytest.CaptureFixture[str], quiet: bool, as_json: bool
) -> None:
    console = Console(as_json=as_json)
    console.quiet = quiet
    with TaskProgress(console, "training") as bar:
        bar.update(1, 2)
    assert tuple(capsys.readouterr()) == ("", "")


def test_a_batch_counts_slides_and_failures(
    terminal: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    with BatchProgress(terminal, 3) as progress:
        progress.report("Model m on CPU.")
        progress.warn(["outside the trained range"])
        progress.tiles("a.tif", Progress(5, 20))
        progress.done("a.tif: 20 tiles")
        progress.fail(DataError("b.tif is empty"), "b.tif")
    for words in ("Model m on CPU.", "warning: outside", "5/20", "a.tif: 20 tiles", "2/3"):
        assert words in text(terminal)
    assert progress.failed == 1
    assert capsys.readouterr().err == "error: b.tif is empty\n"


def test_one_slide_that_takes_no_time_shows_no_bar(terminal: Console) -> None:
    with BatchProgress(terminal, 1) as progress:
        progress.done("a.tif: already scored")
    assert text(terminal) == "a.tif: already scored\n"
