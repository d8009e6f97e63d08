"""Labelled images from whatever lies at a path."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shapely.geometry import box, mapping

from napari_smse.datasets.loading import read_source_list, read_training_set
from napari_smse.datasets.pixels import read_pixels
from napari_smse.errors import DataError
from research.bundled import SOURCES
from support.datasets import write_picture
from support.slides import write_pyramid_tiff


def write_table(folder: Path, classes: tuple[str, str] = ("benign", "malignant")) -> Path:
    """Two images of two cases with a um/px."""
    rows = ["path,label,case,um_per_px"]
    for index, label in enumerate(classes):
        write_picture(folder / f"{index}.png", index, index, (224, 224))
        rows.append(f"{index}.png,{label},{index},0.5")
    (folder / "images.csv").write_text("\n".join(rows))
    return folder


def write_breakhis(folder: Path) -> Path:
    for name in ("SOB_B_A-14-1-40-001.png", "SOB_M_DC-14-2-40-001.png"):
        (folder / "deep").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (700, 460), "pink").save(folder / "deep" / name)
    return folder


def write_classes(folder: Path) -> Path:
    for label, name in enumerate(("benign", "malignant")):
        write_picture(folder / name / f"{name}.png", label, 10 + label, (224, 224))
    return folder


def write_slides(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(("benign", "malignant")):
        rgb = np.random.default_rng(seed).normal((200, 130, 180), 2, (1200, 1200, 3))
        write_pyramid_tiff(folder / f"{name}.tif", rgb.round().astype(np.uint8), levels=1)
        feature = {
            "type": "Feature",
            "properties": {"classification": {"name": name}},
            "geometry": mapping(box(0, 0, 1200, 1200)),
        }
        (folder / f"{name}.geojson").write_text(json.dumps(feature))
    return folder


@pytest.mark.parametrize("write", [write_table, write_breakhis, write_classes, write_slides])
def test_what_lies_there_decides(tmp_path: Path, write: object) -> None:
    assert callable(write)
    found = read_training_set(write(tmp_path / "my data"), mpp=0.5)
    assert found.classes == ("benign", "malignant")
    assert {one.label for one in found.images} == {0, 1}
    assert len(found.cases) == 2
    found.require_cases()
    (name,) = found.sources
    assert name == ("breakhis" if write is write_breakhis else "my data")
    assert {one.source for one in found.images} == {name}
    for one in found.images:
        assert read_pixels(one).mode == "RGB"


def test_the_table_itself_may_be_given(tmp_path: Path) -> None:
    write_table(tmp_path)
    assert read_training_set(str(tmp_path / "images.csv")) == read_training_set(tmp_path)


def test_reading_decodes_no_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_table(tmp_path)

    def never(*_: object) -> None:
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr(Image.Image, "convert", never)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", never)
    assert len(read_training_set(tmp_path).images) == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "none", "none is not there"),
        (lambda folder: write_picture(folder / "a.png", 0, 0), "is a file, but no .toml"),
        (lambda folder: folder, "holds no labelled images: looked for an images.csv, BreakHis"),
        (lambda folder: write_classes(folder), "say nothing of their µm/px"),
        (
            lambda folder: write_table(folder / "one").parent,
            r"holds several data sets \(one\): give one of them",
        ),
    ],
    ids=["nothing", "file", "empty", "no scale", "folder of tables"],
)
def test_what_is_no_training_set(tmp_path: Path, make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(DataError, match=message):
        read_training_set(make(tmp_path))


def test_nothing_usable_is_an_error_that_says_why(tmp_path: Path) -> None:
    write_table(tmp_path)
    for path in tmp_path.glob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"No image in .* can be used: 2 is empty \(0 bytes\)"):
        read_training_set(tmp_path)


def test_limits_that_are_no_range(tmp_path: Path) -> None:
    for limits in ((0.6, 0.2), (0, 0.5), (float("nan"), 0.5)):
        with pytest.raises(DataError, match="are no range"):
            read_training_set(write_table(tmp_path), mpp_limits=limits)


def test_limits_hold_for_every_image(tmp_path: Path) -> None:
    found = read_training_set(write_table(tmp_path), mpp_limits=(0.46, 1.0))
    assert {one.mpp_range for one in found.images} == {(0.46, 1.0)}


def write_list(folder: Path, text: str) -> Path:
    path = folder / "list.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_sources_are_joined(tmp_path: Path) -> None:
    write_table(tmp_path / "data" / "table", ("Polyp", "Cancer"))
    write_classes(tmp_path / "data" / "folders")
    path = write_list(
        tmp_path,
        """
        [[source]]
        name = "colon"
        folder = "table"
        organ = "colon"
        title = "A colon data set"
        classes = { Polyp = "benign", Cancer = "malignant" }
        mpp_range = [0.1, 0.5]

        [[source]]
        name = "breast"
        folder = "folders"
        um_per_px = 0.4
        keep = { label = ["benign"] }
        """,
    )
    found = read_training_set(path, base=tmp_path / "data")
    assert [(one.case, one.label, one.mpp, one.source) for one in found.images] == [
        ("colon 0", 0, 0.5, "colon"),
        ("colon 1", 1, 0.5, "colon"),
        ("breast benign", 0, 0.4, "breast"),
    ]
    assert found.images[0].mpp_range == (0.2, 0.5)
    assert found.sources["colon"].organ == "colon"
    assert found.sources["colon"].title == "A colon data set"
    with pytest.raises(DataError, match=r"supports 0\.1 to 0\.5 µm/px only, not 0\.6 to 1"):
        read_training_set(path, base=tmp_path / "data", mpp_limits=(0.6, 1.0))
    # Without a base, folders lie beside the list.
    with pytest.raises(DataError, match=r"names the folder .*table, which is not there"):
        read_training_set(path)
    assert read_training_set(path.rename(tmp_path / "data" / "list.toml")) == found


def test_sources_of_different_classes_are_not_joined(tmp_path: Path) -> None:
    write_table(tmp_path / "a")
    write_table(tmp_path / "b", ("fat", "tumour"))
    path = write_list(
        tmp_path, "".join(f'[[source]]\nname = "{name}"\nfolder = "{name}"\n' for name in "ab")
    )
    with pytest.raises(DataError, match="a has benign, malignant, but b has fat, tumour"):
        read_training_set(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"source: Field required"),
        ("source = []", r"source: Tuple should have at least 1 item"),
        ("[[source]]\nname = 'a'", r"source\.0\.folder: Field required"),
        ("[[source]]\nname='a'\nfolder='a'\nmpp=1", r"source\.0\.mpp: Extra inputs"),
        ("[[source]]\nname='a'\nfolder='a'\num_per_px=0", r"um_per_px: Input should be greater"),
        ("[[source]]\nname='a'\nfolder='a'\nmpp_range=[2,1]", "the finest µm/px comes first"),
        ("[[source", "is not TOML"),
    ],
    ids=["empty", "none", "no folder", "unknown key", "no scale", "range falls", "no toml"],
)
def test_a_wrong_list_is_an_error_of_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = write_list(tmp_path, text)
    with pytest.raises(DataError, match=message) as raised:
        read_training_set(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_list_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "list.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is not TOML"):
        read_source_list(tmp_path / "list.toml")
    with pytest.raises(DataError, match="cannot be read"):
        read_source_list(tmp_path / "none.toml")


def test_the_list_of_the_bundled_model_is_complete() -> None:
    found = {one.name: one for one in read_source_list(SOURCES).source}
    assert list(found) == ["breakhis", "colon", "oral"]
    for one in found.values():
        assert one.title
        assert one.licence != "not stated"
        assert one.citation
        assert one.scale_note


def test_the_real_data_of_the_bundled_model(shared_data: Path) -> None:
    found = read_training_set(SOURCES, base=shared_data)
    assert Counter((one.stratum, one.mpp, one.mpp_range) for one in found.images) == {
        ("breakhis 40X", 0.492, (0.45, 0.6)): 46,
        ("breakhis 100X", 0.197, (0.2, 0.6)): 524,
        ("breakhis 200X", 0.098, (0.2, 0.4)): 18,
        ("breakhis 200X copy", 0.201, (0.31, 0.4)): 574,
        ("breakhis 400X", 0.049, (0.2, 0.25)): 60,
        ("colon", 1.1, (0.5, 0.6)): 1345,
        ("oral 400x", 0.85, (0.45, 0.6)): 670,
    }
    assert found.classes == ("benign", "malignant")
    assert found.count_skipped() == {"has no label": 457}
    cases = {name: len(found.select_sources([name]).cases) for name in found.sources}
    assert cases == {"breakhis": 52, "colon": 231, "oral": 36}
    for one in found.images:
        assert "bach" not in str(one.path.relative_to(shared_data))


def test_the_real_breakhis_is_the_same_with_and_without_its_table(shared_data: Path) -> None:
    with_table = read_training_set(shared_data / "breakhis")
    images, cases = with_table.count()
    assert cases == {"benign": 11, "malignant": 41}
    assert sum(images.values()) == 1222
    without = read_training_set(shared_data / "breakhis" / "images")
    facts = Counter((one.path, one.label, one.case, one.subtype) for one in with_table.images)
    assert facts == Counter((one.path, one.label, one.case, one.subtype) for one in without.images)
    copies = {one.path for one in with_table.images if one.stratum.endswith("copy")}
    assert len(copies) == 574
    for one, other in zip(
        sorted(with_table.images, key=lambda one: one.path),
        sorted(without.images, key=lambda one: one.path),
        strict=True,
    ):
        assert one.mpp == pytest.approx(other.mpp, rel=0.01)
        assert one.mpp_range == other.mpp_range or one.path in copies
