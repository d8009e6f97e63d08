"""Images that lie in the data under several names."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.datasets.loading import read_training_set
from napari_smse.errors import DataError
from support.annotated_slides import annotate, write_red_slide
from support.datasets import write_picture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures of each class, each a case."""
    for label, name in enumerate(("benign", "malignant")):
        (tmp_path / name).mkdir()
        for number in range(2):
            write_picture(tmp_path / name / f"{label}{number}.png", label, 10 * label + number)
    return tmp_path


def read(folder: Path) -> LabelledSet:
    return read_training_set(folder, mpp=0.5)


def reasons(found: LabelledSet) -> dict[str, str]:
    return {one.path.name: one.reason for one in found.skipped}


@pytest.mark.parametrize("copy", [shutil.copy, os.link])
def test_a_picture_under_two_names_is_used_once(folder: Path, copy: object) -> None:
    plain = read(folder)
    copy(folder / "benign" / "00.png", folder / "benign" / "again.png")  # type: ignore[operator]
    found = read(folder)
    assert found.images == plain.images
    assert "00.png: they are one case" in reasons(found)["again.png"]


def test_of_contradicting_labels_none_is_used(folder: Path) -> None:
    shutil.copy(folder / "benign" / "00.png", folder / "malignant" / "again.png")
    found = read(folder)
    assert {image.path.name for image in found.images} == {"01.png", "10.png", "11.png"}
    assert "which has another label" in reasons(found)["again.png"]
    assert "which has another label" in reasons(found)["00.png"]


def test_cases_that_share_a_picture_are_one_also_by_others(tmp_path: Path) -> None:
    lines = ["path,label,case,um_per_px"]
    for number in range(8):
        write_picture(tmp_path / f"{number}.png", number % 2, number)
        lines.append(f"{number}.png,{'benign' if number % 2 else 'malignant'},P{number // 2},0.5")
    shutil.copy(tmp_path / "7.png", tmp_path / "0.png")
    lines[1] = lines[1].replace("malignant", "benign")
    shutil.copy(tmp_path / "2.png", tmp_path / "6.png")
    (tmp_path / "images.csv").write_text("\n".join(lines))
    found = read_training_set(tmp_path)
    # P0 has a picture of P3, and P3 one of P1.
    assert found.cases == {f"{tmp_path.name} {case}" for case in ("P0", "P2")}
    assert len(found.images) == 6


def test_pictures_that_show_nothing_join_no_cases(folder: Path) -> None:
    for name in ("benign", "malignant"):
        for number in range(2):
            blank = Image.fromarray(np.full((64, 64, 3), 250, np.uint8))
            blank.save(folder / name / f"blank {name} {number}.png")
    found = read(folder)
    assert len(found.images) == len(found.cases) == 8
    assert not found.skipped


def test_a_slide_in_two_sources_is_one_case(tmp_path: Path) -> None:
    for source in ("here", "there"):
        (tmp_path / source).mkdir()
    annotate(write_red_slide(tmp_path / "here", "a"))
    annotate(write_red_slide(tmp_path / "there", "c", 3))
    for suffix in (".tif", ".geojson"):
        shutil.copy(tmp_path / "here" / f"a{suffix}", tmp_path / "there" / f"b{suffix}")
    text = "".join(f'[[source]]\nname = "{one}"\nfolder = "{one}"\n' for one in ("here", "there"))
    (tmp_path / "list.toml").write_text(text)
    found = read_training_set(tmp_path / "list.toml")
    assert found.cases == {"here a", "there c"}
    assert {image.path.stem for image in found.images} == {"a", "c"}
    assert list(reasons(found)) == ["b.tif"]


def test_nothing_may_be_left(tmp_path: Path) -> None:
    for name in ("benign", "malignant"):
        (tmp_path / name).mkdir()
        write_picture(tmp_path / name / f"{name}.png", 0, 0)
    with pytest.raises(DataError, match="which has another label"):
        read(tmp_path)
