"""A folder of images for each class."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_smse.datasets.curation import Reading
from napari_smse.datasets.labelled_set import LabelledSet, Source
from napari_smse.datasets.readers.class_folders import holds_class_folders, read_class_folders
from napari_smse.errors import DataError
from support.datasets import write_picture


def read(folder: Path, mpp: float | None = 0.5) -> LabelledSet:
    return read_class_folders(folder, Reading(Source("mine"), mpp=mpp))


def test_sub_folders_are_cases_and_else_files_are(tmp_path: Path) -> None:
    for name in (
        "malignant/patient 7/a.png",
        "malignant/patient 7/deep/b.png",
        "benign/patient 7/c.png",
        "benign/größe 1.jpg",
    ):
        write_picture(tmp_path / name, 0, 0)
    found = read(tmp_path)
    assert found.classes == ("benign", "malignant")
    assert {(one.path.name, one.label, one.case) for one in found.images} == {
        ("a.png", 1, "mine patient 7"),
        ("b.png", 1, "mine patient 7"),
        ("c.png", 0, "mine patient 7"),
        ("größe 1.jpg", 0, "mine größe 1"),
    }
    assert {(one.mpp, one.stratum, one.magnification) for one in found.images} == {
        (0.5, "mine", "")
    }


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("Malignant", "Benign"), ("benign", "malignant")),
        (("tumour", "stroma", "fat"), ("fat", "stroma", "tumour")),
        (("malignant", "benign", "normal"), ("benign", "malignant", "normal")),
    ],
)
def test_classes_have_one_order(
    tmp_path: Path, names: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    for name in names:
        write_picture(tmp_path / name / "a.png", 0, 0)
    found = read(tmp_path)
    assert found.classes == expected
    for one in found.images:
        assert expected[one.label] == one.path.parent.name.lower()


def test_an_empty_class_folder_is_an_error_when_trained_on(tmp_path: Path) -> None:
    write_picture(tmp_path / "malignant" / "a.png", 0, 0)
    write_picture(tmp_path / "malignant" / "b.png", 0, 0)
    (tmp_path / "benign").mkdir()
    with pytest.raises(DataError, match="No image of class benign"):
        read(tmp_path).require_cases()


def test_what_is_no_image_is_listed(tmp_path: Path) -> None:
    write_picture(tmp_path / "benign" / "a.png", 0, 0)
    write_picture(tmp_path / "lost.png", 0, 0)
    (tmp_path / "benign" / "notes.txt").write_text("x")
    (tmp_path / "benign" / "text.png").write_text("x")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".DS_Store").write_text("")
    found = read(tmp_path)
    assert {(one.path.name, one.reason) for one in found.skipped} == {
        ("lost.png", "lies in no class folder"),
        ("notes.txt", "is not named as an image"),
        ("text.png", "is no image, or damaged"),
    }
    assert found.count_skipped() == {
        "lies in no class folder": 1,
        "is not named as an image": 1,
        "is no image, or damaged": 1,
    }


def test_links_are_followed(tmp_path: Path) -> None:
    outside = write_picture(tmp_path / "outside" / "a.png", 0, 0)
    inside = write_picture(tmp_path / "data" / "benign" / "b.png", 0, 0)
    link = tmp_path / "data" / "benign" / "link.png"
    link.symlink_to(outside)
    found = read(tmp_path / "data")
    assert [one.path for one in found.images] == [inside, link]
    assert not found.skipped
    # The folder itself may be a link.
    (tmp_path / "link").symlink_to(tmp_path / "data")
    assert len(read(tmp_path / "link").images) == 2


def test_without_a_scale_nothing_is_guessed(tmp_path: Path) -> None:
    write_picture(tmp_path / "benign" / "a.png", 0, 0)
    with pytest.raises(DataError, match="say nothing of their µm/px"):
        read(tmp_path, mpp=None)


def test_an_impossible_scale_is_refused_for_each_image(tmp_path: Path) -> None:
    write_picture(tmp_path / "benign" / "a.png", 0, 0)
    assert read(tmp_path, mpp=352).count_skipped() == {"has 352 µm/px, which no microscope has": 1}


def test_parts_of_a_split_are_not_taken_for_classes(tmp_path: Path) -> None:
    for name in ("train/benign", "test/benign"):
        write_picture(tmp_path / name / "a.png", 0, 0)
    with pytest.raises(DataError, match=r"test, train\) are the parts of a split"):
        read(tmp_path)


def test_folders_without_images_are_no_classes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "notes.txt").write_text("x")
    assert not holds_class_folders(tmp_path)


def test_enlarged_images_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_picture(tmp_path / "benign" / "a.png", 0, 0, (224, 224))
    found = read(tmp_path, mpp=1.0)
    assert "1 images are enlarged up to 2.1 times" in found.sources["mine"].scale_note
    assert "enlarged up to 2.1 times" in caplog.text
    assert read(tmp_path, mpp=1.6).count_skipped() == {
        "has 1.6 µm/px, too coarse for 0.6 µm/px (enlarged by more than 2.5)": 1
    }
