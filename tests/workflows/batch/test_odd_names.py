"""Slides whose names are no text, or that would lead out of the folder of results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from napari_smse.results import RunRecord
from napari_smse.similarity.index.slide_index import SlideIndex
from support.shell import Shell, shell, write_section

__all__ = ["shell"]  # the fixture

LATIN_1 = os.fsdecode(b"caf\xe9")


@pytest.fixture
def latin_1(tmp_path: Path) -> Path:
    """A folder with a slide that has a Latin-1 byte in its name, and one after it."""
    if sys.platform in {"win32", "darwin"}:
        pytest.skip("all names are Unicode here")
    write_section(tmp_path / "in" / f"{LATIN_1}.tif")
    write_section(tmp_path / "in" / "later.tif", width=900)
    return tmp_path / "in"


def test_a_name_that_is_not_utf_8_is_scored_and_reported(
    shell: Shell, latin_1: Path, tmp_path: Path
) -> None:
    for words in ("results in", "already scored"):
        answer = shell("score", latin_1, "--out", tmp_path / "out")
        assert (answer.status, answer.err) == (0, "")
        assert r"caf\udce9.tif: " in answer.out
        assert answer.out.count(words) == 2
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["caf%E9", "later"]
    record = RunRecord.model_validate_json((tmp_path / "out" / "caf%E9" / "run.json").read_bytes())
    assert record.slide.path == str(latin_1 / r"caf\udce9.tif")


def test_results_in_a_folder_that_is_not_utf_8(shell: Shell, latin_1: Path, tmp_path: Path) -> None:
    answer = shell("score", latin_1, "--out", tmp_path / LATIN_1, "--geojson")
    assert (answer.status, answer.err) == (0, "")
    assert (tmp_path / LATIN_1 / "later" / "run.json").exists()


def test_it_goes_into_an_index_where_it_is_found_again(
    shell: Shell, latin_1: Path, tmp_path: Path
) -> None:
    index = tmp_path / "index"
    answer = shell("score", latin_1, "--out", tmp_path / "out", "--index", index)
    assert (answer.status, answer.err) == (0, "")
    states = {one.name: one.state() for one in SlideIndex(index).slides}
    assert states == {r"caf\udce9": "same", "later": "same"}
    region = ("--x", "0", "--y", "0", "--width", "128", "--height", "128")
    for words in (["-k", "1000"], ["-k", "1000", "--json"]):
        answer = shell("search", index, "--slide", latin_1 / f"{LATIN_1}.tif", *region, *words)
        assert (answer.status, answer.err) == (0, "")
    found = {one["name"] for one in json.loads(answer.out)["slides"]}
    assert found == {r"caf\udce9", "later"}


def test_it_is_described_and_estimated(shell: Shell, latin_1: Path) -> None:
    assert r"caf\udce9" in shell("info", latin_1 / f"{LATIN_1}.tif").out
    answer = shell("estimate", latin_1, "--float32")
    assert (answer.status, answer.err) == (0, "")
    assert "In all: " in answer.out


def test_an_error_about_it_is_reported(shell: Shell, latin_1: Path, tmp_path: Path) -> None:
    (latin_1 / f"{LATIN_1}.tif").write_bytes(b"")
    answer = shell("score", latin_1, "--out", tmp_path / "out")
    assert answer.status == 1
    assert answer.err.startswith(r"error: caf\udce9.tif is empty (0 bytes)")
    assert (tmp_path / "out" / "later" / "run.json").exists()


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "latin-1"])
def test_a_real_terminal_of_any_encoding_shows_it(latin_1: Path, encoding: str) -> None:
    command = [sys.executable, "-c", "from napari_smse.cli.app import main; main()", "info"]
    done = subprocess.run(
        [*command, str(latin_1 / f"{LATIN_1}.tif")],
        env=os.environ | {"PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"udce9" in done.stdout


@pytest.mark.parametrize("name", ["...tif", "..tif", " . .tif", ".ome.tif", "....tif"])
def test_no_name_leads_out_of_the_folder_of_results(
    shell: Shell, tmp_path: Path, name: str
) -> None:
    """Only what is in --out is written to."""
    slide = write_section(tmp_path / "in" / name)
    out = tmp_path / "deep" / "out"
    for arguments in ((), ("--overwrite",)):
        assert shell("score", slide, "--out", out, *arguments).status == 0
        assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]
        [folder] = out.iterdir()
        assert (folder / "run.json").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "in"]
