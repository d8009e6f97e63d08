"""Whatever happens to one slide of many, the others go on."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_smse.cli.console import traceback_file
from napari_smse.slides import Slide
from support.shell import Shell, assert_one_error, shell, write_section
from support.slides import cut

__all__ = ["shell"]  # the fixture

FAILURES = {
    "a slip": TypeError("unsupported operand"),
    "no memory": MemoryError("Unable to allocate 7 TiB"),
    "no text": UnicodeEncodeError("utf-8", "caf\udce9", 3, 4, "surrogates not allowed"),
    "no file": FileNotFoundError(2, "No such file or directory", "gone.tif"),
}


@pytest.fixture
def slides(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three slides, of which the second fails wherever `fail_in` says."""
    for place in ("cli.index", "cli.estimate"):
        monkeypatch.setattr(f"napari_smse.{place}.read_card", lambda _: shell.model.card)
    for name in "abc":
        write_section(tmp_path / "in" / f"{name}.tif", width=700 + 64 * (ord(name) - ord("a")))
    return tmp_path / "in"


@pytest.fixture
def fail_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Exception], None]:
    """Have a function of the code fail for b.tif, which is among its arguments in some way."""

    def fail(place: str, error: Exception) -> None:
        module, _, name = place.rpartition(".")
        owner: Any = importlib.import_module(f"napari_smse.{module}")
        whole = getattr(owner, name)

        def failing(*args: Any, **options: Any) -> Any:
            if any(_is_b(one) for one in args):
                raise error
            return whole(*args, **options)

        monkeypatch.setattr(owner, name, failing)

    return fail


def _is_b(value: object) -> bool:
    path = value.path if isinstance(value, Slide) else value
    return isinstance(path, Path) and path.name == "b.tif"


PLACES = [
    ("score", "workflows.batch.slide_job.open_slide"),
    ("score", "workflows.batch.slide_job.open_run"),
    ("score", "workflows.batch.scorers.score"),
    ("score", "workflows.batch.slide_job.save_results"),
    ("score", "similarity.index.slide_index.shard_of"),
    ("index", "workflows.batch.indexing.open_slide"),
    ("index", "workflows.batch.indexing.score"),
    ("index", "similarity.index.slide_index.shard_of"),
    ("estimate", "workflows.batch.estimation.open_slide"),
    ("estimate", "workflows.batch.estimation.estimate"),
]


@pytest.mark.parametrize(
    ("command", "place", "failure"),
    [*((*one, "a slip") for one in PLACES), *((*PLACES[0], failure) for failure in FAILURES)],
)
def test_any_failure_of_a_slide_is_a_line_and_stops_no_other(
    shell: Shell,
    slides: Path,
    tmp_path: Path,
    fail_in: Callable[[str, Exception], None],
    command: str,
    place: str,
    failure: str,
) -> None:
    error = FAILURES[failure]
    traceback_file().unlink(missing_ok=True)
    fail_in(place, error)
    words = {
        "score": ("--out", tmp_path / "out", "--index", tmp_path / "index"),
        "index": ("--out", tmp_path / "index"),
        "estimate": ("--float32",),
    }[command]
    answer = shell(command, slides, *words)
    assert answer.status == 1
    [line] = [line for line in answer.err.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in answer.err
    for name in "ac":
        assert f"{name}.tif: " in answer.out
    if isinstance(error, OSError):
        assert "gone.tif cannot be read or written: No such file or directory" in line
        return
    assert "b.tif" in line
    if isinstance(error, MemoryError):
        assert "b.tif needs more memory than there is" in line
        return
    assert str(traceback_file()) in line
    assert type(error).__name__ in traceback_file().read_text()
    assert "Traceback" in traceback_file().read_text()
    assert "internal error at b.tif" in line
    assert "please report it" in line


def test_a_key_still_stops_all(
    shell: Shell, slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_smse.workflows.batch.scorers.score", stop)
    answer = shell("score", slides, "--out", tmp_path / "out")
    assert answer.status == 130
    assert not list((tmp_path / "out").glob("*/run.json"))


@pytest.mark.parametrize("bad", ["cut short", "without a scale"])
@pytest.mark.parametrize(
    ("command", "module"),
    [
        ("score", "cli.score"),
        ("index", "workflows.batch.indexing"),
        ("estimate", "workflows.batch.estimation"),
    ],
)
def test_no_network_is_loaded_for_what_cannot_be_scored(
    shell: Shell,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    module: str,
    bad: str,
) -> None:
    def load(*_args: object, **_options: object) -> None:
        raise AssertionError("the network is loaded")

    monkeypatch.setattr(f"napari_smse.{module}.load_on_fastest", load)
    for place in ("cli.index", "cli.estimate"):
        monkeypatch.setattr(f"napari_smse.{place}.read_card", lambda _: shell.model.card)
    path = write_section(tmp_path / "a.tif", mpp=None if bad == "without a scale" else 0.5)
    if bad == "cut short":
        cut(path, 300)
    words = () if command == "estimate" else ("--out", tmp_path / "out")
    assert_one_error(shell(command, path, *words), "a.tif")
