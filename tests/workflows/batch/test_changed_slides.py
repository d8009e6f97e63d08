"""Slides that are overwritten while they are scored: a mixture of two is no result."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from napari_smse.scoring import ScoreStore
from support.shell import Shell, shell, write_section

__all__ = ["shell"]  # the fixture

SCORED = "napari_smse.scoring.block_writer.BlockWriter.add"
SAVED = "napari_smse.results.save.write_csv"


@pytest.fixture
def slides(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two slides, of which the first has many blocks."""
    monkeypatch.setattr("napari_smse.tiles.plan.BLOCK_EDGE", 128)
    monkeypatch.setattr("napari_smse.scoring.block_writer._WRITE_EVERY_S", 0)
    monkeypatch.setattr("napari_smse.cli.index.read_card", lambda _: shell.model.card)
    write_section(tmp_path / "in" / "a.tif")
    write_section(tmp_path / "in" / "b.tif", width=900)
    return tmp_path / "in"


def overwrite_in_place(slide: Path) -> None:
    """Write other pixels into the file; it may end up as long as before."""
    write_section(slide.with_name("new"), width=800)
    slide.write_bytes(slide.with_name("new").read_bytes())
    slide.with_name("new").unlink()


def write_the_same(slide: Path) -> None:
    """Write to it so that neither its size nor its quick hash changes."""
    with slide.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(last)
    stamp = slide.stat().st_mtime_ns + 10**9
    os.utime(slide, ns=(stamp, stamp))


def replace_by_another(slide: Path) -> None:
    """Put another file in its place, as programs do that write whole files."""
    write_section(slide.with_name("new"), width=800).replace(slide)


CHANGES = [overwrite_in_place, write_the_same, replace_by_another]


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], None]], None]:
    """Have something happen the first time that a function is called."""

    def happen(place: str, what: Callable[[], None]) -> None:
        module, _, name = place.rpartition(".")
        owner = _owner(module)
        whole = getattr(owner, name)
        left: Iterator[int] = iter([1])

        def first(*args: Any, **options: Any) -> Any:
            if next(left, None):
                what()
            return whole(*args, **options)

        monkeypatch.setattr(owner, name, first)

    return happen


def _owner(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name) if name[0].isupper() else import_module(path)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("moment", [SCORED, SAVED])
@pytest.mark.parametrize("command", ["score", "index"])
def test_it_is_reported_and_leaves_no_record(
    shell: Shell,
    slides: Path,
    tmp_path: Path,
    once: Callable[[str, Callable[[], None]], None],
    change: Callable[[Path], None],
    moment: str,
    command: str,
) -> None:
    once(moment, lambda: change(slides / "a.tif"))
    out = tmp_path / "out"
    words = ["--out", out] if command == "score" else ["--out", tmp_path / "i", "--results", out]
    answer = shell(command, slides, *words)
    assert answer.status == 1
    [line] = [line for line in answer.err.splitlines() if line.startswith("error: ")]
    assert f"{slides / 'a.tif'} changed after it was opened" in line
    assert not (out / "a" / "run.json").exists()
    assert (out / "b" / "run.json").exists()
    if command == "index":
        assert len(list((tmp_path / "i").glob("*.safetensors"))) == 1
    if moment == SCORED:
        store = ScoreStore.open(out / "a" / "scores.zarr")
        assert not store.finished
        assert not store.blocks_done().any()
