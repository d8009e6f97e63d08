"""Tables of labelled images."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_smse.errors import DataError
from napari_smse.learning.labelled_set import LabelledSet
from napari_smse.learning.sources import (
    CLASSES,
    MPP_RANGE,
    read_breakhis,
    read_colon,
    read_oral,
    read_sources,
)


def table(folder: Path, text: str) -> Path:
    (folder / "images.csv").write_text(text, encoding="utf-8")
    return folder


def test_colon_leaves_out_what_has_no_label(tmp_path: Path) -> None:
    folder = table(
        tmp_path,
        "path,label,subtype,case\n"
        "a.jpg,malignant,Adenocarcinoma,GT1\n"
        "b.jpg,,Low_grade_IN,GT1\n"
        "c.jpg,benign,Polyp,GT1\n",
    )
    records = read_colon(folder)
    assert [(r.path.name, r.label) for r in records] == [("a.jpg", 1), ("c.jpg", 0)]
    # One case with both classes counts in both.
    assert LabelledSet(CLASSES, tuple(records)).count() == (
        {"benign": 1, "malignant": 1},
        {"benign": 1, "malignant": 1},
    )


def test_oral_images_at_100x_are_left_out(tmp_path: Path) -> None:
    folder = table(
        tmp_path,
        "path,label,magnification,number,block\n"
        "a.jpg,benign,100x,1,Normal-100-0\n"
        "b.jpg,benign,400x,1,Normal-400-0\n",
    )
    (record,) = read_oral(folder)
    assert record.case == "oral Normal-400-0"


def test_breakhis_copies_are_a_stratum_of_their_own(tmp_path: Path) -> None:
    folder = table(
        tmp_path,
        "path,label,subtype,patient,case,magnification,um_per_px,source\n"
        "a.jpg,benign,A,1,1,200X,0.098,original\n"
        "b.jpg,benign,A,1,1,200X,0.201,224px copy\n",
    )
    original, copy = read_breakhis(folder)
    assert original.stratum != copy.stratum
    assert original.case == copy.case
    assert copy.mpp == 0.201
    # A copy's real detail is coarser than its pixels.
    assert copy.mpp_range[0] >= 0.3


def test_a_case_without_a_number_is_refused(tmp_path: Path) -> None:
    folder = table(
        tmp_path,
        "path,label,subtype,patient,case,magnification,um_per_px,source\n"
        "a.jpg,benign,A,x,AB,200X,0.098,original\n",
    )
    with pytest.raises(DataError, match="AB"):
        read_breakhis(folder)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"images\.csv is missing"):
        read_sources(tmp_path)


def test_the_real_tables_hold_what_their_readme_says(shared_data: Path) -> None:
    records = read_sources(shared_data)
    images, cases = LabelledSet(CLASSES, tuple(records)).of_sources(["breakhis"]).count()
    assert cases == {"benign": 11, "malignant": 41}
    assert sum(images.values()) == 1222
    assert {r.source for r in records} == {"breakhis", "colon", "oral"}
    for record in records:
        assert record.path.is_file()
        assert "bach" not in str(record.path.relative_to(shared_data))
        assert MPP_RANGE[0] <= record.mpp_range[0] <= record.mpp_range[1] <= MPP_RANGE[1]
    assert len({r.path for r in records}) == len(records)
