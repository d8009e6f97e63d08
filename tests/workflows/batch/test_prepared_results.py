"""Results that somebody prepared run nothing, whatever command comes across them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numcodecs.pickles
import pytest

from napari_smse.errors import OutputError
from napari_smse.results import RunContext, save_results
from napari_smse.scoring import ScoreRequest, ScoreStore, choose_device, open_run, score
from napari_smse.slides import open_slide
from support.models import redness_model
from support.prepared_stores import PREPARED
from support.shell import Shell, shell, write_section

__all__ = ["shell"]  # the fixture


@pytest.fixture(autouse=True)
def careless_numcodecs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unpickle what is asked for, as numcodecs did up to 0.16.5."""
    monkeypatch.setattr(numcodecs.pickles, "ALLOW_UNSAFE_PICKLE_DECODE", True, raising=False)


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide and its results."""
    folder, model = tmp_path_factory.mktemp("scored"), redness_model()
    device, request = choose_device("cpu"), ScoreRequest((0.5,))
    with open_slide(write_section(folder / "slide.tif")) as slide:
        plan = request.plan(slide, model.card)
        out = folder / "out" / "slide"
        store = open_run(out / "scores.zarr", slide, model.card, request, plan, device)
        for _ in score(slide, model, plan, store, device):
            pass
        save_results(out, slide, store, RunContext(model.card, "CPU"))
    return folder


@pytest.fixture(params=PREPARED)
def prepared(
    request: pytest.FixtureRequest,
    shell: Shell,
    scored: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A results folder of one slide, prepared to make a folder `harm` when it is read."""
    for place in ("cli.index", "workflows.region_query"):
        monkeypatch.setattr(f"napari_smse.{place}.read_card", lambda _: shell.model.card)
    shutil.copytree(scored, tmp_path, dirs_exist_ok=True)
    PREPARED[request.param](tmp_path / "out" / "slide" / "scores.zarr", tmp_path / "harm")
    return tmp_path / "out"


def test_opening_refuses_it(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no readable scores: remove it"):
        ScoreStore.open(prepared / "slide" / "scores.zarr")
    assert not (tmp_path / "harm").exists()


def commands(out: Path) -> dict[str, tuple[str | Path, ...]]:
    slide = out.parent / "slide.tif"
    region = ("--x", "0", "--y", "0", "--width", "128", "--height", "128")
    return {
        "score": ("score", slide, "--out", out),
        "score with other settings": ("score", slide, "--out", out, "--overlap", "0.5"),
        "score into an index": ("score", slide, "--out", out, "--index", out.parent / "index"),
        "index": ("index", slide, "--out", out.parent / "index", "--results", out),
        "search": ("search", out / "slide", "--slide", slide, *region),
    }


@pytest.mark.parametrize("command", commands(Path()))
@pytest.mark.parametrize("record", ["with a record", "without a record"])
def test_no_command_runs_it(
    shell: Shell, prepared: Path, tmp_path: Path, command: str, record: str
) -> None:
    if record == "without a record":
        (prepared / "slide" / "run.json").unlink()
    answer = shell(*commands(prepared)[command])
    assert not (tmp_path / "harm").exists()
    assert answer.status == 1
    [line] = [line for line in answer.err.splitlines() if line.startswith("error: ")]
    assert "slide" in line or "index" in line


def test_overwriting_replaces_it_unread(shell: Shell, prepared: Path, tmp_path: Path) -> None:
    slide = tmp_path / "slide.tif"
    answer = shell("score", slide, "--out", prepared, "--overwrite")
    assert (answer.status, answer.err) == (0, "")
    assert not (tmp_path / "harm").exists()
    ScoreStore.open(prepared / "slide" / "scores.zarr")
