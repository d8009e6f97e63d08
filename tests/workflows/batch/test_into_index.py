"""Slides that go into an index as they are scored from a shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_smse.similarity.index.slide_index import SlideIndex
from support.shell import Shell, shell, write_section

__all__ = ["shell"]  # the fixture


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    """A folder with two slides."""
    write_section(tmp_path / "in" / "a.tif")
    write_section(tmp_path / "in" / "b.tif", width=900)
    return tmp_path / "in"


def indexed(folder: Path) -> dict[str, int]:
    return {one.name: one.tile_count for one in SlideIndex(folder).slides}


def test_each_slide_goes_into_the_index_and_the_same_again_costs_a_line(
    shell: Shell, slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "index"
    (slides / "aa.svs").touch()
    words = ("score", slides, "--out", tmp_path / "out", "--index", index)
    answer = shell(*words)
    assert answer.status == 1  # aa.svs
    assert answer.out.count(f"; added to the index {index}") == 2
    assert "1 of 3 slides could not be scored, or added to the index." in answer.err
    before = indexed(index)
    assert set(before) == {"a", "b"}
    assert all(before.values())
    monkeypatch.setattr("napari_smse.models.load_model", None)
    (slides / "aa.svs").unlink()
    answer = shell(*words)
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.count(f"; in the index {index}") == 2
    assert indexed(index) == before


def test_what_was_scored_before_goes_in_without_the_network(
    shell: Shell, slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell("score", slides, "--out", tmp_path / "out")
    monkeypatch.setattr("napari_smse.models.load_model", None)
    answer = shell("score", slides, "--out", tmp_path / "out", "--index", tmp_path / "index")
    assert (answer.status, answer.err) == (0, "")
    assert set(indexed(tmp_path / "index")) == {"a", "b"}


def test_other_settings_replace_only_with_overwrite_and_keep_the_results(
    shell: Shell, slides: Path, tmp_path: Path
) -> None:
    index = tmp_path / "index"
    shell("score", slides / "a.tif", "--out", tmp_path / "out", "--index", index)
    before = indexed(index)
    words = ("score", slides, "--overlap", "0.5", "--index", index)
    answer = shell(*words, "--out", tmp_path / "other")
    assert answer.status == 1
    assert "a is in the index" in answer.err
    assert "different overlap" in answer.err
    assert (tmp_path / "other" / "a" / "run.json").exists()
    assert indexed(index)["a"] == before["a"]
    assert "b" in indexed(index)
    answer = shell(*words, "--out", tmp_path / "other", "--overwrite")
    assert (answer.status, answer.err) == (0, "")
    assert f"replaced in the index {index}" in answer.out
    assert indexed(index)["a"] > before["a"]


def test_what_is_wrong_with_the_index_is_reported_before_anything_is_scored(
    shell: Shell, slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_smse.models.load_model", None)
    SlideIndex.make(tmp_path / "index", "b" * 64, "newer")
    words = ("score", slides, "--index", tmp_path / "index")
    answer = shell(*words, "--out", tmp_path / "out")
    assert answer.status == 1
    assert "made by the model newer" in answer.err
    assert not (tmp_path / "out").exists()
    answer = shell(*words, "--out", "memory://x")
    assert answer.status == 1
    assert "cannot be read back for an index: leave out --index" in answer.err
