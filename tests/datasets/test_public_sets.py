"""Images of public data sets are known by their names."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from napari_smse.datasets.public_sets import public_image, public_images
from napari_smse.similarity.bank_file import bank_of


@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("SOB_B_A-14-22549AB-100-001.png", "breakhis 22549"),
        ("SOB_M_DC-14-10926-200-001.jpg", "breakhis 10926"),
        ("GT2001837-1-400-001.png", "colon GT2001837"),
        ("GTxc2012827-2-400-004.jpg", "colon GTxc2012827"),
        ("Normal_400x_31.jpg", "oral Normal-400-1"),
        ("OSCC_400x_240.jpg", "oral OSCC-400-12"),
        ("ytma10_010704_benign1.jpg", "ucsb ytma10_010704_benign1"),
        ("ytma10_010704_malignant2_ccd.tif", "ucsb ytma10_010704_malignant2"),
        ("Normal_100x_31.jpg", None),
        ("GT2001837-1-400-001.txt", None),
        ("holiday.jpg", None),
    ],
)
def test_a_name_tells_the_case(name, case) -> None:
    found = public_image(Path(name))
    assert (None if found is None else found.case) == case


def test_the_names_of_cases_are_those_of_the_bundled_model() -> None:
    cases = set(bank_of("bundled").cases)
    names = ("SOB_B_A-14-22549AB-100-001.png", "GT2001837-1-400-001.png", "OSCC_400x_161.jpg")
    for name in names:
        assert public_image(Path(name)).case in cases


def test_folders_of_any_nesting_are_searched(tmp_path) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    for name in ("Normal_400x_3.jpg", "note.txt", "Normal_100x_3.jpg"):
        (folder / name).write_bytes(b"")
    assert [image.path.name for image in public_images(tmp_path)] == ["Normal_400x_3.jpg"]


@pytest.mark.parametrize(
    ("name", "size", "shown", "mpp"),
    [
        ("SOB_B_A-14-22549AB-100-001.png", (700, 460), (700, 460), 0.197),
        ("SOB_B_A-14-22549AB-200-001.png", (350, 230), (350, 230), 0.196),
        ("GT2001837-1-400-001.png", (224, 224), (224, 224), 1.1),
        ("OSCC_400x_240.png", (224, 224), (224, 224), 0.85),
        ("OSCC_400x_240.png", (640, 480), (224, 224), 0.85),
        ("ytma10_010704_benign1.jpg", (896, 768), (896, 768), 0.45),
        ("ytma55_030603_malignant3_ccd.tif", (896, 768), (896, 768), 0.45),
    ],
)
def test_pictures_are_read_at_the_scale_they_were_learnt_from(
    tmp_path, name, size, shown, mpp
) -> None:
    Image.new("RGB", size, "pink").save(tmp_path / name)
    picture, scale = public_image(tmp_path / name).read()
    assert picture.size == shown
    assert scale == pytest.approx(mpp, rel=1e-3)
