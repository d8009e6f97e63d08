"""Scoring from a shell by the ICC profile of a slide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest

from napari_smse.results.run_record import read_record
from napari_smse.scoring import ScoreStore
from support.icc_profiles import wide_profile
from support.shell import Shell, assert_one_error, section, shell
from support.slides import write_pyramid_tiff

__all__ = ["shell"]  # the fixture


def write_slide(path: Path, profile: bytes | None) -> Path:
    return write_pyramid_tiff(path, section(), mpp=0.5, iccprofile=profile)


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return write_slide(tmp_path / "slide.tif", wide_profile("scanner 7"))


def malignant(folder: Path) -> np.ndarray:
    return parquet.read_table(folder / "slide" / "tiles.parquet")["p_malignant"].to_numpy()


def test_scores_are_by_the_profile_and_the_record_says_so(
    shell: Shell, slide: Path, tmp_path: Path
) -> None:
    plain, by_profile = tmp_path / "plain", tmp_path / "icc"
    assert shell("score", slide, "--out", plain).status == 0
    answer = shell("score", slide, "--out", by_profile, "--icc")
    assert (answer.status, answer.err) == (0, "")
    assert np.abs(malignant(by_profile) - malignant(plain)).max() > 0.01
    assert read_record(by_profile / "slide").settings["icc"] is True
    assert "icc" not in read_record(plain / "slide").settings
    facts = [ScoreStore.open(out / "slide" / "scores.zarr").facts for out in (plain, by_profile)]
    assert facts[0]["signature"] != facts[1]["signature"]
    again = shell("score", slide, "--out", by_profile, "--icc")
    assert "already scored" in again.out


def test_a_run_does_not_go_on_with_scores_of_other_colours(
    shell: Shell, slide: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert shell("score", slide, "--out", out).status == 0
    before = malignant(out)
    assert_one_error(shell("score", slide, "--out", out, "--icc"), "another run", "ICC profile")
    assert np.array_equal(malignant(out), before)
    assert shell("score", slide, "--out", out, "--icc", "--overwrite").status == 0
    assert_one_error(shell("score", slide, "--out", out), "another run")


@pytest.mark.parametrize(
    ("profile", "words"),
    [(None, "slide.tif has no ICC profile"), (b"abcd" * 99, "slide.tif has a damaged ICC profile")],
    ids=["none", "damaged"],
)
def test_without_a_usable_profile_nothing_is_scored(
    shell: Shell, tmp_path: Path, profile: bytes | None, words: str
) -> None:
    slide = write_slide(tmp_path / "slide.tif", profile)
    assert_one_error(shell("score", slide, "--out", tmp_path / "out", "--icc"), words, "--icc")
    assert not (tmp_path / "out" / "slide").exists()
    assert_one_error(shell("estimate", slide, "--icc"), words)
    assert_one_error(shell("index", slide, "--out", tmp_path / "index", "--icc"), words)


@pytest.mark.parametrize(
    ("profile", "words"),
    [(None, "none"), (b"abcd" * 99, "damaged"), (wide_profile("scanner 7"), "scanner 7")],
    ids=["none", "damaged", "one"],
)
def test_info_says_which_profile_there_is(
    shell: Shell, tmp_path: Path, profile: bytes | None, words: str
) -> None:
    slide = write_slide(tmp_path / "slide.tif", profile)
    lines = [line.split() for line in shell("info", slide).out.splitlines()]
    assert ["icc", "profile", *words.split()] in lines
