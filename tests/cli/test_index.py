"""Slides indexed from a shell: once, again, after a stop, and what cannot be."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from napari_smse.similarity.index.slide_index import SlideIndex
from support import TESTS
from support.edited_json import facts_of
from support.models import redness_model
from support.shell import Shell, shell, write_section

__all__ = ["shell"]  # the fixture


@pytest.fixture(autouse=True)
def card(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model whose answers are known, in these commands too."""
    for place in ("cli.index", "workflows.region_query"):
        monkeypatch.setattr(f"napari_smse.{place}.read_card", lambda _: shell.model.card)


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    """A folder with two slides."""
    write_section(tmp_path / "in" / "a.tif")
    write_section(tmp_path / "in" / "deeper" / "b.tif", width=900)
    return tmp_path / "in"


@pytest.fixture
def where(tmp_path: Path) -> Path:
    return tmp_path / "index"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch):
    """Fail if the network is loaded once this was called."""

    def refuse(_name: str) -> None:
        raise AssertionError("the network was loaded")

    return lambda: monkeypatch.setattr("napari_smse.models.load_model", refuse)


def lines(text: str, words: str) -> list[str]:
    return [line for line in text.splitlines() if words in line]


def names(where: Path) -> list[str]:
    return [one.name for one in SlideIndex(where).slides]


def test_every_slide_gets_a_line_and_can_be_searched(shell, slides, where):
    answer = shell("index", slides, "--out", where)
    assert (answer.status, answer.err) == (0, "")
    assert len(lines(answer.out, "tiles added")) == 2
    index = SlideIndex(where)
    assert names(where) == ["a", "b"]
    first = index.find(index.slides[0].quick_hash)
    assert first.path == str(slides / "a.tif")
    assert (first.width, first.height, first.mpp, first.classes) == (
        700,
        520,
        0.5,
        ("benign", "malignant"),
    )
    assert f"Index {where}: 2 slides, {index.tile_count} tiles." in answer.out
    assert f"a.tif: {first.tile_count} tiles added" in answer.out
    assert index.model == shell.model.card.weights_sha256


def test_again_costs_a_line_and_no_network(shell, slides, where, no_network):
    shell("index", slides, "--out", where)
    # Not even the scores are needed any more.
    shutil.rmtree(where / "results")
    no_network()
    answer = shell("index", slides, "--out", where)
    assert (answer.status, answer.err) == (0, "")
    assert len(lines(answer.out, "already in the index")) == 2


def test_it_grows(shell, slides, where):
    shell("index", slides / "a.tif", "--out", where)
    answer = shell("index", slides, "--out", where)
    assert len(lines(answer.out, "already in the index")) == 1
    assert len(lines(answer.out, "tiles added")) == 1
    assert names(where) == ["a", "b"]


def test_slides_of_the_same_name_from_two_folders(shell, slides, where, tmp_path):
    write_section(tmp_path / "more" / "a.tif", width=800)
    shell("index", slides / "a.tif", "--out", where)
    assert shell("index", tmp_path / "more", "--out", where).status == 0
    assert names(where) == ["a", "a"]


def test_what_score_did_is_used(shell, slides, where, tmp_path, no_network):
    assert shell("score", slides, "--out", tmp_path / "scored").status == 0
    no_network()
    answer = shell("index", slides, "--out", where, "--results", tmp_path / "scored")
    assert (answer.status, answer.err) == (0, "")
    assert names(where) == ["a", "b"]


def test_bad_slides_are_reported_in_a_line_each_and_stop_no_other(shell, slides, where):
    (slides / "aa.svs").touch()
    write_section(slides / "ab.tif", mpp=None)
    answer = shell("index", slides, slides / "none.svs", "--out", where)
    assert answer.status == 1
    errors = answer.err.splitlines()
    assert len(errors) == 4
    assert "aa.svs is empty" in errors[0]
    assert "ab.tif does not state its µm/px" in errors[1]
    assert "none.svs" in errors[2]
    assert errors[3] == "3 of 5 slides could not be indexed."
    assert names(where) == ["a", "b"]


def test_other_settings_replace_only_when_asked(shell, slides, where):
    shell("index", slides, "--out", where)
    before = SlideIndex(where).tile_count
    answer = shell("index", slides, "--out", where, "--overlap", "0.5")
    assert answer.status == 1
    assert len(lines(answer.err, "with other settings (different overlap)")) == 2
    assert SlideIndex(where).tile_count == before
    answer = shell("index", slides, "--out", where, "--overlap", "0.5", "--overwrite")
    assert (answer.status, answer.err) == (0, "")
    assert len(lines(answer.out, "tiles replaced")) == 2
    assert SlideIndex(where).tile_count > 2 * before
    scored = sum(shell.model.network.batches)
    shell("index", slides, "--out", where, "--overlap", "0.5", "--overwrite")
    assert sum(shell.model.network.batches) == scored


def test_a_slide_that_changed_replaces_only_when_asked(shell, slides, where):
    shell("index", slides, "--out", where)
    write_section(slides / "a.tif", width=800)
    answer = shell("index", slides, "--out", where)
    assert answer.status == 1
    assert "a.tif changed since it was added" in answer.err
    assert shell("index", slides, "--out", where, "--overwrite").status == 0
    assert [one.width for one in SlideIndex(where).slides] == [800, 900]


def test_a_slide_that_was_moved_is_found_there(shell, slides, where, no_network):
    shell("index", slides, "--out", where)
    (slides / "a.tif").rename(slides / "renamed.tif")
    no_network()
    answer = shell("index", slides, "--out", where)
    assert (answer.status, answer.err) == (0, "")
    assert len(lines(answer.out, "renamed.tif: now found here")) == 1
    assert names(where) == ["b", "renamed"]


def test_another_model_is_refused_naming_both_before_anything_is_done(
    shell, slides, where, no_network
):
    shell("index", slides, "--out", where)
    shell.model = redness_model(32)
    shell.model = type(shell.model)(
        shell.model.network, shell.model.card.model_copy(update={"name": "newer"}), Path("x")
    )
    no_network()
    answer = shell("index", slides, "--out", where)
    assert answer.status == 1
    (line,) = answer.err.splitlines()
    assert "made by the model redness" in line
    assert "not by newer" in line


def test_a_place_that_is_a_file_is_reported(shell, slides, where):
    where.write_text("a file")
    answer = shell("index", slides, "--out", where)
    assert answer.status == 1
    assert len(answer.err.splitlines()) == 1
    assert "cannot be written" in answer.err


def test_a_damaged_shard_is_named_and_made_again(shell, slides, where):
    shell("index", slides, "--out", where)
    path = next(where.glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:100])
    answer = shell("index", slides, "--out", where)
    assert answer.status == 0
    assert path.name in " ".join(answer.out.split())
    assert len(lines(answer.out, "tiles added")) == 1
    assert len(names(where)) == 2


def test_an_approximate_index_needs_its_package(shell, slides, where, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    answer = shell("index", slides, "--out", where, "--approximate")
    assert answer.status == 1
    assert 'run pip install "napari-smse[search]"' in answer.err
    assert not where.exists()


PROGRAM = """
import os, sys
sys.path.insert(0, {tests!r})
import pytest
from support.models import hide_bundled_reference, redness_model
from napari_smse import models
from napari_smse.cli import index
hide_bundled_reference(pytest.MonkeyPatch())
from napari_smse.similarity.index import index_files

model = redness_model()
models.load_model = lambda _name: model
index.read_card = lambda _name: model.card
really = index_files.write_shard

def write(folder, shard, **options):
    really(folder, shard, **options)
    print("written", flush=True)
    sys.stdin.readline()

index_files.write_shard = write
from napari_smse.cli.app import main
main()
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")
def test_killed_after_the_first_slide_it_goes_on(shell, slides, where):
    program = PROGRAM.format(tests=str(TESTS))
    words = ["index", str(slides), "--out", str(where), "--float32", "--device", "cpu", "--quiet"]
    running = subprocess.Popen(
        [sys.executable, "-c", program, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stdout.readline() == "written\n"
    finally:
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
        running.stdin.close()
        running.stdout.close()
    assert names(where) == ["a"]
    answer = shell("index", slides, "--out", where)
    assert answer.status == 0
    assert len(lines(answer.out, "already in the index")) == 1
    assert names(where) == ["a", "b"]


def test_slides_know_nothing_of_each_others_description(shell, slides, where):
    shell("index", slides, "--out", where)
    values = facts_of((where / "index.json").read_bytes())
    assert values == {
        "format": "napari-smse index",
        "version": 1,
        "model": shell.model.card.weights_sha256,
        "model_name": "redness",
    }
