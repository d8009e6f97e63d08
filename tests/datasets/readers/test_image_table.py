"""A folder with a table of its images."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from napari_smse.datasets.curation import Reading
from napari_smse.datasets.labelled_set import LabelledSet, Source
from napari_smse.datasets.readers.image_table import read_image_table
from napari_smse.errors import DataError
from support.datasets import write_picture

BREAKHIS = "path,label,subtype,patient,case,magnification,um_per_px,source\n"


def read(
    folder: Path,
    text: str,
    *,
    mpp: float | None = None,
    classes: dict[str, str] | None = None,
    keep: dict[str, tuple[str, ...]] | None = None,
    pictures: bool = True,
) -> LabelledSet:
    """Write the table and a picture for every row that names one, and read."""
    (folder / "images.csv").write_text(text, encoding="utf-8")
    if pictures:
        for line in text.splitlines()[1:]:
            name = line.split(",")[0]
            if name.endswith(".png") and not (folder / name).exists():
                write_picture(folder / name, 0, 0, (224, 224))
    reading = Reading(Source("mine"), mpp=mpp, classes=classes or {}, keep=keep or {})
    return read_image_table(folder, reading)


def reasons(found: LabelledSet) -> dict[str, str]:
    return {one.path.name: one.reason for one in found.skipped}


def test_rows_become_images(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "path,label,case,um_per_px,organ,magnification,subtype\n"
        "a/b c.png,malignant,7,0.25,breast,40x,DC\n"
        "ü.png,benign,8,0.5,skin,20x,\n",
    )
    first, second = found.images
    assert found.classes == ("benign", "malignant")
    assert (first.path, first.label, first.case) == (tmp_path / "a/b c.png", 1, "mine 7")
    assert (first.mpp, first.mpp_range) == (0.25, (0.23, 0.5))
    assert (first.magnification, first.stratum, first.subtype) == ("40x", "mine 40x", "DC")
    assert (second.path.name, second.label, second.mpp) == ("ü.png", 0, 0.5)
    assert found.sources["mine"].organ == "breast, skin"
    assert found.skipped == ()


def test_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", 0, 0)
    found = read(tmp_path, "\ufeffpath;label;case;um_per_px\r\na.png;benign;1;0,5\r\n")
    assert found.images[0].mpp == 0.5


def test_real_detail_limits_the_scales(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "path,label,case,um_per_px,detail_um_per_px\na.png,benign,1,0.2,0.4\nb.png,benign,1,0.2,\n",
    )
    assert [one.mpp_range[0] for one in found.images] == [0.4, 0.2]


def test_wrong_rows_are_listed_and_the_others_kept(tmp_path: Path) -> None:
    write_picture(tmp_path / "outside.png", 0, 0)
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "text.png").write_text("no image")
    (folder / "zero.png").write_bytes(b"")
    (folder / "folder.tif").mkdir()
    Image.new("I;16", (224, 224)).save(folder / "deep.png")
    found = read(
        folder,
        "path,label,case,um_per_px\n"
        "good.png,benign,1,0.5\n"
        "also.png,Malignant,2,0.5\n"
        "unlabelled.png,,3,0.5\n"
        "odd.png,malignat,3,0.5\n"
        "number.png,benign,3,half\n"
        "negative.png,benign,3,-1\n"
        "nan.png,benign,3,nan\n"
        "none.png,benign,3,\n"
        "caseless.png,benign,,0.5\n"
        "coarse.png,benign,3,2\n"
        "missing.jpg,benign,3,0.5\n"
        "../outside.png,benign,3,0.5\n"
        "folder.tif,benign,3,0.5\n"
        "text.png,benign,3,0.5\n"
        "zero.png,benign,3,0.5\n"
        "deep.png,benign,3,0.5\n"
        ",benign,3,0.5\n",
    )
    assert [one.path.name for one in found.images] == ["good.png", "also.png"]
    assert [one.label for one in found.images] == [0, 1]
    assert reasons(found) == {
        "unlabelled.png": "has no label",
        "odd.png": "has the label 'malignat', which is none of benign, malignant",
        "number.png": "has the um_per_px 'half', which is no scale",
        "negative.png": "has the um_per_px '-1', which is no scale",
        "nan.png": "has the um_per_px 'nan', which is no scale",
        "none.png": "has no µm/px",
        "caseless.png": "has no case",
        "coarse.png": "has 2 µm/px, too coarse for 0.6 µm/px (enlarged by more than 2.5)",
        "missing.jpg": "is missing",
        "outside.png": "lies outside the folder",
        "folder.tif": "cannot be read (Is a directory)",
        "text.png": "is no image, or damaged",
        "zero.png": "is empty (0 bytes)",
        "deep.png": "has I;16 pixels, not 8-bit RGB",
        "data": "is a row without a path",
    }


def test_paths_written_in_full_may_lead_anywhere(tmp_path: Path) -> None:
    folder, other = tmp_path / "table", tmp_path / "images"
    folder.mkdir()
    rows = ["path,label,case,um_per_px"]
    for number, label in enumerate(("benign", "malignant")):
        path = other / f"{label}.png"
        path.parent.mkdir(exist_ok=True)
        write_picture(path, number, number)
        rows.append(f"{path},{label},{number},0.5")
    found = read(folder, "\n".join(rows) + "\n")
    assert [one.path.parent for one in found.images] == [other, other]


def test_rows_that_repeat_or_contradict(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "path,label,case,um_per_px\n"
        "twice.png,benign,1,0.5\n"
        "twice.png,benign,1,0.5\n"
        "both.png,benign,1,0.5\n"
        "./both.png,malignant,1,0.5\n"
        "whose.png,benign,1,0.5\n"
        "whose.png,benign,2,0.5\n",
    )
    assert [one.path.name for one in found.images] == ["twice.png"]
    assert found.count_skipped() == {
        "is listed with two labels": 2,
        "is listed with two cases": 2,
        "is listed more than once": 1,
    }


def test_labels_are_classes_where_they_are_not_benign_and_malignant(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "path,label,case,um_per_px\na.png,tumour,1,0.5\nb.png,fat,2,0.5\nc.png,stroma,3,0.5\n",
    )
    assert found.classes == ("fat", "stroma", "tumour")
    assert [one.label for one in found.images] == [2, 0, 1]


def test_labels_can_be_mapped_to_classes(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "path,label,case,um_per_px\n"
        "a.png,Adenocarcinoma,1,0.5\nb.png,Polyp,2,0.5\nc.png,IN,3,0.5\nd.png,benign,4,0.5\n",
        classes={"Adenocarcinoma": "malignant", "Polyp": "benign"},
    )
    assert [found.classes[one.label] for one in found.images] == ["malignant", "benign", "benign"]
    assert reasons(found) == {"c.png": "has the label 'IN', which is none of benign, malignant"}


def test_rows_can_be_chosen(tmp_path: Path) -> None:
    text = (
        "path,label,magnification,block\n"
        "a.png,benign,100x,Normal-100-0\n"
        "b.png,benign,400x,Normal-400-0\n"
    )
    found = read(tmp_path, text, mpp=0.85, keep={"magnification": ("400x",)})
    (image,) = found.images
    # There is no column for the case, so blocks are cases.
    assert (image.case, image.stratum, image.mpp) == ("mine Normal-400-0", "mine 400x", 0.85)
    assert found.skipped == ()
    with pytest.raises(DataError, match=r"no column 'power' .*there are: path, label, magn"):
        read(tmp_path, text, mpp=0.85, keep={"power": ("400x",)})


def test_a_scale_counts_where_the_table_has_none(tmp_path: Path) -> None:
    text = "path,label,case,um_per_px\na.png,benign,1,\nb.png,benign,1,0.25\n"
    assert [one.mpp for one in read(tmp_path, text, mpp=0.5).images] == [0.5, 0.25]


def test_a_table_without_any_scale_is_refused(tmp_path: Path) -> None:
    text = "path,label,case\na.png,benign,1\n"
    with pytest.raises(DataError, match=r"lacks the column um_per_px \(it has: path, label, case"):
        read(tmp_path, text)
    assert len(read(tmp_path, text, mpp=0.5).images) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("path,label,case,um_per_px\n", "lists no image"),
        ("file,label,case,um_per_px\na.png,benign,1,0.5\n", "lacks the column path"),
        ("path,label,um_per_px\na.png,benign,0.5\n", "lacks the column case or block"),
    ],
    ids=["empty", "header only", "no path", "no case"],
)
def test_a_wrong_table_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as raised:
        read(tmp_path, text)
    assert "images.csv" in str(raised.value)


def test_paths_written_on_windows(tmp_path: Path) -> None:
    write_picture(tmp_path / "sub" / "a.png", 0, 0)
    found = read(tmp_path, "path,label,case,um_per_px\nsub\\a.png,benign,1,0.5\n", pictures=False)
    assert found.images[0].path == tmp_path / "sub" / "a.png"


def test_breakhis_copies_are_a_stratum_of_their_own(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        BREAKHIS + "SOB_B_A-14-22549AB-200-001.png,benign,A,22549AB,22549AB,200X,0.098,original\n"
        "SOB_B_A-14-22549CD-200-002.png,benign,A,22549CD,22549CD,200X,0.201,224px copy\n",
    )
    original, copy = found.images
    assert (original.stratum, copy.stratum) == ("mine 200X", "mine 200X copy")
    assert original.case == copy.case == "mine 22549"
    assert copy.mpp == 0.201
    # 700 px of 0.098 um were squeezed to 224.
    assert copy.mpp_range[0] == pytest.approx(0.306, abs=0.005)
    assert found.sources["mine"].organ == "breast"


def test_breakhis_rows_need_no_scale(tmp_path: Path) -> None:
    found = read(tmp_path, "path,label,case\nSOB_B_A-14-22549AB-40-001.png,benign,any\n")
    (image,) = found.images
    assert (image.mpp, image.case, image.magnification) == (0.492, "mine 22549", "40X")


def test_the_patient_filed_twice_counts_once(tmp_path: Path) -> None:
    rows = "".join(
        f"SOB_M_{kind}-14-13412-40-00{i}.png,malignant,{kind},13412,13412,40X,0.492,original\n"
        for kind in ("DC", "LC")
        for i in range(2)
    )
    found = read(tmp_path, BREAKHIS + rows)
    assert {one.subtype for one in found.images} == {"DC"}
    assert len(found.skipped) == 1
