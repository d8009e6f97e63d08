"""The folder for QuPath: what its reader asks of GeoJSON, and a script with the right paths."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import box

from napari_smse.annotations import (
    Annotation,
    AnnotationSet,
    read_annotations,
    write_annotations,
)
from napari_smse.errors import OutputError
from napari_smse.results.exchange import ResultFolder
from napari_smse.results.exchange.map_stack import map_stacks
from napari_smse.results.exchange.qupath import export, groovy_text
from napari_smse.slides.remote_path import slide_path
from support import TESTS
from support.dicom_slides import write_dicom_level
from support.result_folders import AREA, write_results

CLASSES = ("tumour/grade 3: <é>", "it's $other")
OBJECT_TYPES = {"annotation", "detection", "tile", "cell", "tmaCore", "root"}
"""What QuPath's reader takes for an object's type."""


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the slide lies, in a folder whose name would end a text of Groovy's."""
    path = tmp_path_factory.mktemp("slides") / "it's a $lide \\ é" / "one.svs"
    path.parent.mkdir()
    path.touch()
    return path


@pytest.fixture(scope="module")
def run(slide: Path, tmp_path_factory: pytest.TempPathFactory) -> ResultFolder:
    return write_results(tmp_path_factory.mktemp("run") / "run", classes=CLASSES, slide=slide)


@pytest.fixture
def beside(slide: Path) -> Iterator[Path]:
    """Where regions of the slide lie."""
    path = slide.with_suffix(".geojson")
    yield path
    path.unlink(missing_ok=True)


def read_text(script: str, name: str) -> str:
    """What a path in the script means to Groovy."""
    found = re.search(rf"def {name} = new File\('((?:[^'\\]|\\.)*)'\)", script)
    assert found is not None
    return str(json.loads('"' + found[1].replace("\\'", "'") + '"'))


def features_of(path: Path) -> list[dict[str, Any]]:
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["type"] == "FeatureCollection"
    return list(content["features"])


def assert_qupath_reads(feature: dict[str, Any]) -> None:
    assert feature["type"] == "Feature"
    assert feature["geometry"]["type"] in {"Polygon", "MultiPolygon"}
    properties = feature["properties"]
    assert properties["objectType"] in OBJECT_TYPES
    classification = properties.get("classification")
    if classification is not None:
        assert classification["name"]
        assert len(classification["color"]) == 3
        assert all(0 <= part <= 255 for part in classification["color"])
    for name, value in properties.get("measurements", {}).items():
        assert isinstance(name, str)
        assert isinstance(value, int | float)


def test_tiles_lie_where_qupath_counts_from(tmp_path: Path, run: ResultFolder) -> None:
    (folder,) = export(run, tmp_path)
    assert folder.name == "one_qupath"
    features = features_of(folder / "tiles.geojson")
    assert len(features) == run.table.num_rows
    for feature, row in zip(features, run.table.to_pylist(), strict=True):
        assert_qupath_reads(feature)
        corners = np.array(feature["geometry"]["coordinates"][0])
        low, high = corners.min(axis=0), corners.max(axis=0)
        assert low.tolist() == [row["x"] - AREA.x, row["y"] - AREA.y]
        assert (high - low).tolist() == [row["width"], row["height"]]
        measured = feature["properties"]["measurements"]
        for name in CLASSES:
            assert measured[f"P({name})"] == pytest.approx(row[f"p_{name}"], abs=1e-6)
        assert feature["properties"]["classification"]["name"] == row["call"]


def test_maps_are_beside_the_tiles(tmp_path: Path, run: ResultFolder) -> None:
    (folder,) = export(run, tmp_path)
    for stack in map_stacks(run):
        read = tifffile.imread(folder / f"one_{stack.file_name}.ome.tif")
        np.testing.assert_array_equal(read, stack.values)


def test_regions_beside_the_slide_come_along(
    tmp_path: Path, run: ResultFolder, beside: Path
) -> None:
    drawn = AnnotationSet((Annotation(CLASSES[0], box(200, 200, 400, 300)),))
    write_annotations(beside, drawn, bounds_origin=(AREA.x, AREA.y))
    (folder,) = export(run, tmp_path)
    for feature in features_of(folder / "regions.geojson"):
        assert_qupath_reads(feature)
    read = read_annotations(folder / "regions.geojson", bounds_origin=(AREA.x, AREA.y))
    assert [one.geometry.bounds for one in read.annotations] == [(200, 200, 400, 300)]
    assert "def objects = ['regions.geojson', 'tiles.geojson']" in (
        folder / "import.groovy"
    ).read_text(encoding="ascii")


@pytest.mark.parametrize(
    "content", [None, "no json", '{"type": "FeatureCollection", "features": 1}']
)
def test_without_regions_there_are_tiles_alone(
    tmp_path: Path,
    run: ResultFolder,
    beside: Path,
    content: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if content is not None:
        beside.write_text(content)
    (folder,) = export(run, tmp_path)
    assert not (folder / "regions.geojson").exists()
    assert "def objects = ['tiles.geojson']" in (folder / "import.groovy").read_text()
    assert ("Left out the regions" in caplog.text) == (content is not None)


def test_the_script_names_slide_folder_and_size(
    slide: Path, run: ResultFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(slide.parent.parent)
    (slide.parent / "out").mkdir()
    (folder,) = export(run, Path(slide.parent.name) / "out")
    script = (folder / "import.groovy").read_text(encoding="ascii")
    assert read_text(script, "slide") == str(slide)
    assert read_text(script, "folder") == str(slide.parent / "out" / "one_qupath")
    assert f"def width = {AREA.width}\ndef height = {AREA.height}\n" in script
    assert "def maps = ['one_20x.ome.tif', 'one_10x.ome.tif', 'one_mean.ome.tif']" in script
    # A dollar would be a value in Groovy's other texts, and none of the template's is left.
    assert '"' not in re.sub(r"//.*", "", script)
    assert "$" not in script.replace(groovy_text(str(slide)), "").replace(
        groovy_text(str(folder.absolute())), ""
    )


def test_the_number_of_a_slide_is_no_part_of_its_path(tmp_path: Path, slide: Path) -> None:
    numbered = slide.with_name("one.svs#2")
    (folder,) = export(write_results(tmp_path / "run", slide=numbered), tmp_path)
    assert read_text((folder / "import.groovy").read_text(), "slide") == str(slide)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("http://host/a/one%20b.svs", "one b.svs"),
        ("s3://bucket/one.svs#2", "one.svs"),
        ("https://me:word@host/one.svs?token=word", "one.svs"),
    ],
)
def test_of_a_slide_at_an_address_the_script_looks_for_a_copy(
    tmp_path: Path, address: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    run = write_results(tmp_path / "run", slide=slide_path(address))
    (folder,) = export(run, tmp_path / "out")
    script = (folder / "import.groovy").read_text(encoding="ascii")
    assert read_text(script, "slide") == str(tmp_path / "out" / name)
    assert "://" not in script
    (warning,) = caplog.messages
    assert "is at an address" in warning
    assert f"copy it to {tmp_path / 'out' / name}, or set its path in" in warning
    assert "word" not in warning


def test_a_folder_of_dicom_files_is_opened_by_one_of_them(tmp_path: Path) -> None:
    series = tmp_path / "series"
    series.mkdir()
    image = np.full((100, 100, 3), 200, np.uint8)
    file = write_dicom_level(series / "level.dcm", image, "1.2.3")
    (folder,) = export(write_results(tmp_path / "run", slide=series), tmp_path)
    assert read_text((folder / "import.groovy").read_text(), "slide") == str(file)


@given(st.text())
def test_any_text_survives_groovy(text: str) -> None:
    written = groovy_text(text)
    assert written.isascii()
    assert re.fullmatch(r"'(?:[^'\\\n]|\\[\"'\\bfnrtu])*'", written)
    assert json.loads('"' + written[1:-1].replace("\\'", "'") + '"') == text


def test_results_of_version_0_1_are_exported(tmp_path: Path) -> None:
    shutil.copytree(TESTS / "written_by_0_1" / "results" / "slide", tmp_path / "run")
    (folder,) = export(ResultFolder.open(tmp_path / "run"), tmp_path)
    features = features_of(folder / "tiles.geojson")
    assert len(features) == 80
    for feature in features:
        assert_qupath_reads(feature)
        assert feature["properties"]["classification"]["name"] in {"benign", "malignant"}


def test_a_model_without_classes_has_tiles_alone(tmp_path: Path, slide: Path) -> None:
    run = write_results(tmp_path / "run", classes=("tissue",), slide=slide)
    (folder,) = export(run, tmp_path)
    assert sorted(one.name for one in folder.iterdir()) == ["import.groovy", "tiles.geojson"]


def test_a_slide_without_tiles_has_none(tmp_path: Path) -> None:
    (folder,) = export(write_results(tmp_path / "run", tissue=0), tmp_path)
    assert features_of(folder / "tiles.geojson") == []


def test_what_lies_there_is_replaced_only_if_asked(tmp_path: Path, run: ResultFolder) -> None:
    (tmp_path / "one_qupath").mkdir()
    (tmp_path / "one_qupath" / "mine.txt").touch()
    with pytest.raises(OutputError, match="lies there already"):
        export(run, tmp_path)
    assert (tmp_path / "one_qupath" / "mine.txt").exists()
    export(run, tmp_path, overwrite=True)
    assert not (tmp_path / "one_qupath" / "mine.txt").exists()
