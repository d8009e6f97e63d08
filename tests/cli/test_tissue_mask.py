"""Scoring from a shell with the tissue of a mask."""

from __future__ import annotations

from pathlib import Path

import platformdirs
import pyarrow.parquet as parquet
import pytest

from napari_smse.results.run_record import read_record
from support.shell import Shell, assert_one_error, shell, write_section
from support.tissue_masks import write_mask

__all__ = ["shell"]  # the fixture


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda _: tmp_path / "cache")


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return write_section(tmp_path / "slide.tif")


def test_tiles_are_those_of_the_mask_and_again_is_done_already(
    shell: Shell, slide: Path, tmp_path: Path
) -> None:
    boxes = [("", (0.0, 0.0, 700.0, 260.0)), ("Pen", (0.0, 0.0, 350.0, 260.0))]
    masks = tmp_path / "masks"
    masks.mkdir()
    write_mask(masks / "slide.geojson", boxes)
    command = ("score", slide, "--out", tmp_path / "out", "--tissue-mask", masks)
    answer = shell(*command, "--leave-out", "fold,pen")
    assert answer.status == 0
    assert "Tissue as drawn in slide.geojson." in " ".join(answer.out.split())
    table = parquet.read_table(tmp_path / "out" / "slide" / "tiles.parquet")
    assert max(table["y"].to_pylist()) < 260
    assert min(table["x"].to_pylist()) > 250
    record = read_record(tmp_path / "out" / "slide")
    assert record.settings["leave_out"] == ["fold", "pen"]
    assert "already scored" in shell(*command, "--leave-out", "pen,fold").out
    assert_one_error(shell(*command), "another run", "artefacts left out")


def test_what_cannot_be_is_refused_in_one_line(shell: Shell, slide: Path, tmp_path: Path) -> None:
    command = ("score", slide, "--out", tmp_path / "out")
    assert_one_error(shell(*command, "--leave-out", "fold"), "tissue mask", "--tissue-mask")
    gone = tmp_path / "gone.geojson"
    assert_one_error(shell(*command, "--tissue-mask", gone), "gone.geojson cannot be read")
    mask = write_mask(tmp_path / "m.geojson", [("", (0.0, 0.0, 7000.0, 260.0))])
    assert_one_error(shell(*command, "--tissue-mask", mask), "mask of another slide")
    assert_one_error(
        shell(*command, "--tissue-mask", mask, "--leave-out", "folds"), "no artefact 'folds'"
    )
