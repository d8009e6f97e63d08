"""BreakHis in any nesting of folders."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from napari_smse.datasets.curation import Reading
from napari_smse.datasets.labelled_set import Source
from napari_smse.datasets.readers.breakhis import copy_detail, parse_name, read_breakhis
from napari_smse.datasets.splits import grouped_folds, shared_cases
from napari_smse.errors import DataError
from support.datasets import write_picture

ARCHIVE = "BreaKHis_v1/histology_slides/breast"
FRAME = (700, 460)


def frame(path: Path, size: tuple[int, int] = FRAME, colour: str = "pink") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


@given(
    st.sampled_from("BM"),
    st.sampled_from(["A", "F", "PT", "TA", "DC", "LC", "MC", "PC"]),
    st.integers(1, 99_999),
    st.sampled_from(["", "AB", "CD", "G"]),
    st.sampled_from([40, 100, 200, 400]),
    st.integers(1, 99),
    st.sampled_from([".png", ".jpg", ".PNG"]),
)
def test_names_are_taken_apart(
    group: str, subtype: str, number: int, block: str, power: int, sequence: int, suffix: str
) -> None:
    named = parse_name(f"SOB_{group}_{subtype}-14-{number}{block}-{power}-{sequence:03}{suffix}")
    assert named is not None
    assert named.label == {"B": "benign", "M": "malignant"}[group]
    assert (named.subtype, named.number, named.block) == (subtype, str(number), block)
    assert (named.magnification, named.sequence) == (f"{power}X", f"{sequence:03}")
    # 40X has the objective of 4 times, and so on: the um/px falls as the power rises.
    assert named.mpp * power == pytest.approx(19.7, rel=0.01)


@pytest.mark.parametrize(
    "name",
    [
        "SOB_X_DC-14-2523-400-001.png",
        "SOB_M_DC-14-2523-300-001.png",
        "SOB_M_DC-14-2523-400-001.txt",
        "SOB_M_DC-14-2523-400-001 (2).png",
        "x.png",
        "",
    ],
)
def test_other_names_are_not(name: str) -> None:
    assert parse_name(name) is None


def test_the_archive_as_it_is_unpacked(tmp_path: Path) -> None:
    benign = f"{ARCHIVE}/benign/SOB/adenosis/SOB_B_A_14-22549AB/40X"
    other = f"{ARCHIVE}/benign/SOB/adenosis/SOB_B_A_14-22549CD/100X"
    malignant = f"{ARCHIVE}/malignant/SOB/papillary_carcinoma/SOB_M_PC_14-9146/400X"
    frame(tmp_path / benign / "SOB_B_A-14-22549AB-40-001.png")
    frame(tmp_path / other / "SOB_B_A-14-22549CD-100-002.png")
    frame(tmp_path / malignant / "SOB_M_PC-14-9146-400-003.png")
    (tmp_path / ARCHIVE / "README.txt").write_text("read me")
    (tmp_path / ARCHIVE / ".DS_Store").write_text("")
    found = read_breakhis(tmp_path)
    assert found.classes == ("benign", "malignant")
    assert [
        (one.label, one.case, one.magnification, one.stratum, one.subtype, one.mpp)
        for one in found.images
    ] == [
        (0, "breakhis 22549", "40X", "breakhis 40X", "A", 0.492),
        (0, "breakhis 22549", "100X", "breakhis 100X", "A", 0.197),
        (1, "breakhis 9146", "400X", "breakhis 400X", "PC", 0.049),
    ]
    assert [one.mpp_range for one in found.images] == [(0.45, 0.6), (0.2, 0.6), (0.2, 0.25)]
    assert [(one.path.name, one.reason) for one in found.skipped] == [
        ("README.txt", "is not named as BreakHis' images are")
    ]
    assert found.sources["breakhis"].organ == "breast"


def test_blocks_of_a_case_never_part(tmp_path: Path) -> None:
    for number in range(4):
        for block in ("AB", "CD"):
            frame(tmp_path / block / f"SOB_B_A-14-{22549 + number}{block}-40-001.png")
            frame(tmp_path / block / f"SOB_M_DC-14-{99 + number}{block}-40-001.png")
    images = read_breakhis(tmp_path).images
    for fold in grouped_folds(images, 4):
        assert shared_cases(images, list(fold.training), list(fold.test)) == []
        assert len(fold.test) == 4


def test_the_patient_filed_twice_counts_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for sequence in range(3):
        for subtype in ("DC", "LC"):
            frame(tmp_path / subtype / f"SOB_M_{subtype}-14-13412-40-00{sequence}.png")
    frame(tmp_path / "SOB_M_LC-14-16196-40-001.png")
    with caplog.at_level(logging.INFO, logger="napari_smse"):
        found = read_breakhis(tmp_path)
    assert sorted(one.path.name for one in found.images) == [
        "SOB_M_DC-14-13412-40-000.png",
        "SOB_M_DC-14-13412-40-001.png",
        "SOB_M_DC-14-13412-40-002.png",
        "SOB_M_LC-14-16196-40-001.png",
    ]
    (said,) = found.skipped
    assert said.reason.startswith("and 2 more: patient 13412 is filed twice")
    assert caplog.text.count("filed twice") == 1


def test_the_patient_filed_twice_stays_where_it_is_filed_once(tmp_path: Path) -> None:
    frame(tmp_path / "SOB_M_LC-14-13412-40-001.png")
    found = read_breakhis(tmp_path)
    assert len(found.images) == 1
    assert found.skipped == ()


def test_resized_frames_have_their_own_scale_and_crops_have_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frame(tmp_path / "SOB_B_A-14-1-100-001.png", (350, 230))
    frame(tmp_path / "SOB_B_A-14-1-100-002.png", (300, 300))
    frame(tmp_path / "SOB_B_A-14-1-100-003.png", (700, 456))
    first, second, third = read_breakhis(tmp_path).images
    assert (first.mpp, second.mpp, third.mpp) == (0.394, 0.197, 0.197)
    assert "2 images are not 700 x 460 px: 1 are taken for resized frames, 1" in caplog.text


def test_a_single_scale_is_not_believed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frame(tmp_path / "SOB_B_A-14-1-100-001.png")
    (image,) = read_breakhis(tmp_path, Reading(Source("mine"), mpp=0.5)).images
    assert image.mpp == 0.197
    assert image.case == "mine 1"
    assert "is not used" in caplog.text


def test_files_that_cannot_be_read_are_listed(tmp_path: Path) -> None:
    frame(tmp_path / "good" / "SOB_B_A-14-1-40-001.png")
    (tmp_path / "SOB_B_A-14-1-40-002.png").write_text("no image")
    (tmp_path / "SOB_B_A-14-1-40-003.png").write_bytes(b"")
    Image.new("I;16", FRAME).save(tmp_path / "SOB_B_A-14-1-40-004.png")
    found = read_breakhis(tmp_path)
    assert [one.path.name for one in found.images] == ["SOB_B_A-14-1-40-001.png"]
    assert [(one.path.name[-7:], one.reason) for one in found.skipped] == [
        ("002.png", "is no image, or damaged"),
        ("003.png", "is empty (0 bytes)"),
        ("004.png", "has I;16 pixels, not 8-bit RGB"),
    ]


def test_rows_can_be_chosen_by_magnification(tmp_path: Path) -> None:
    for power in (40, 100, 400):
        frame(tmp_path / f"SOB_B_A-14-1-{power}-001.png")
    reading = Reading(Source("mine"), keep={"Magnification": ("40x", "400X")})
    assert [one.magnification for one in read_breakhis(tmp_path, reading).images] == ["40X", "400X"]
    with pytest.raises(DataError, match="no column 'stain'"):
        read_breakhis(tmp_path, Reading(Source("mine"), keep={"stain": ("H&E",)}))


def test_what_a_squeezed_copy_lost() -> None:
    # 700 px of 0.098 um squeezed to 224.
    assert copy_detail("224px copy", "200X") == pytest.approx(0.30625)
    assert copy_detail("original", "200X") is None
    assert copy_detail("224px copy", "20x") is None


def test_tiny_images_are_used_with_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_picture(tmp_path / "SOB_B_A-14-1-400-001.png", 0, 0, (64, 64))
    assert len(read_breakhis(tmp_path).images) == 1
    assert "1 images fill less than a quarter of a tile" in caplog.text
