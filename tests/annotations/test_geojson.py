"""Areas by class, as QuPath writes them; that areas are read at all is tested in exchange."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from shapely import box
from shapely.geometry import mapping

from napari_smse.annotations import read_class_regions, read_regions
from napari_smse.annotations.geojson import count_detections, holds_annotations
from napari_smse.errors import RegionError

LEFT, RIGHT = box(0, 0, 10, 10), box(20, 0, 30, 10)
RING = box(0, 0, 30, 30) - box(10, 10, 20, 20)


def feature(geometry: Any, classification: Any = None) -> dict[str, Any]:
    properties = {"objectType": "annotation"}
    if classification is not None:
        properties["classification"] = classification
    return {"type": "Feature", "properties": properties, "geometry": mapping(geometry)}


def written(folder: Path, features: list[dict[str, Any]]) -> Path:
    path = folder / "slide.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


@pytest.mark.parametrize(
    "classification",
    [
        {"name": "Tumor", "color": [1, 2, 3]},
        {"name": " Tumor ", "colorRGB": -1},
        {"names": ["Tumor"]},
        "Tumor",
    ],
    ids=["0.4", "0.2", "0.5", "plain"],
)
def test_every_way_to_name_a_class(tmp_path: Path, classification: Any) -> None:
    found = read_class_regions(written(tmp_path, [feature(LEFT, classification)]))
    assert list(found) == ["Tumor"]
    assert found["Tumor"].equals(LEFT)


def test_areas_of_a_class_become_one_and_classes_stay_apart(tmp_path: Path) -> None:
    features = [
        feature(RING, {"name": "stroma"}),
        feature(LEFT, {"name": "Tumor"}),
        feature(RIGHT, {"name": "Tumor"}),
        feature(box(5, 0, 25, 10), {"name": "Tumor"}),
    ]
    found = read_class_regions(written(tmp_path, features), bounds_origin=(100, 200))
    assert list(found) == ["Tumor", "stroma"]
    assert found["Tumor"].equals(box(100, 200, 130, 210))
    assert found["stroma"].area == RING.area
    assert len(found["stroma"].geoms[0].interiors) == 1


def test_areas_without_a_class_and_ignored_ones_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    features = [
        feature(LEFT, {"name": "Tumor"}),
        feature(RIGHT),
        feature(RIGHT, {}),
        feature(RIGHT, {"name": "Ignore*"}),
    ]
    with caplog.at_level(logging.INFO, logger="napari_smse"):
        found = read_class_regions(written(tmp_path, features))
    assert list(found) == ["Tumor"]
    assert caplog.text.count("left out an area of no class") == 2
    assert "left out an area of Ignore*" in caplog.text


def test_no_class_at_all_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path, [feature(LEFT)])
    with pytest.raises(RegionError, match="holds no area with a class") as raised:
        read_class_regions(path)
    assert str(path) in str(raised.value)


AS_A_TILE = [
    {"objectType": "tile"},
    {"objectType": "detection", "measurements": {"Area": 3.0}},
    {"objectType": "cell"},
    {"object_type": "detection"},
    # A tile of ours that was made an annotation, or of which nothing says what it is any more.
    {"objectType": "annotation", "measurements": {"µm/px": 0.5, "Tissue": 1.0, "P(fat)": 0.9}},
    {"measurements": [{"name": n, "value": 0.5} for n in ("µm/px", "Tissue", "P(fat)")]},
]


def as_a_tile(geometry: Any, properties: dict[str, Any], name: str = "fat") -> dict[str, Any]:
    return {
        "type": "Feature",
        "properties": properties | {"classification": {"name": name}},
        "geometry": mapping(geometry),
    }


@pytest.mark.parametrize("properties", AS_A_TILE)
def test_what_a_program_found_is_no_label(tmp_path: Path, properties: dict[str, Any]) -> None:
    path = written(tmp_path, [as_a_tile(LEFT, properties)])
    assert not holds_annotations(path)
    with pytest.raises(RegionError, match="no annotation: its 1 areas are tiles or detections"):
        read_class_regions(path)


def test_objects_of_the_first_qupath_say_what_they_are_by_their_id(tmp_path: Path) -> None:
    tile = as_a_tile(LEFT, {}) | {"id": "PathTileObject"}
    drawn = as_a_tile(RIGHT, {}, "Tumor") | {"id": "PathAnnotationObject"}
    path = written(tmp_path, [tile, drawn])
    assert list(read_class_regions(path)) == ["Tumor"]


def test_annotations_among_tiles_are_taken_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tiles = [as_a_tile(LEFT, properties) for properties in AS_A_TILE]
    path = written(tmp_path, [*tiles, feature(RIGHT, {"name": "Tumor"})])
    with caplog.at_level(logging.WARNING):
        found = read_class_regions(path)
    assert list(found) == ["Tumor"]
    assert found["Tumor"].equals(RIGHT)
    assert f"left out {len(tiles)} areas" in caplog.text
    assert holds_annotations(path)
    assert count_detections(path) == len(tiles)


def test_other_measurements_and_other_programs_are_annotations(tmp_path: Path) -> None:
    measured = feature(LEFT, {"name": "Tumor"})
    measured["properties"]["measurements"] = {"Area um^2": 3.0, "Tissue": 1.0}
    plain = {
        "type": "Feature",
        "properties": {"classification": "fat"},
        "geometry": mapping(RIGHT),
    }
    assert set(read_class_regions(written(tmp_path, [measured, plain]))) == {"Tumor", "fat"}


def test_a_file_that_cannot_be_read_may_hold_annotations(tmp_path: Path) -> None:
    path = tmp_path / "slide.geojson"
    path.write_text("no JSON")
    assert holds_annotations(path)
    path.write_text('{"type": "FeatureCollection", "features": []}')
    assert holds_annotations(path)


def test_what_is_to_be_ignored_is_cut_out_of_the_region(tmp_path: Path) -> None:
    inner = box(10, 10, 20, 20)
    path = written(tmp_path, [feature(box(0, 0, 30, 30)), feature(inner, {"name": "Ignore*"})])
    assert read_regions(path).equals(RING)


def test_a_region_of_a_class_that_is_not_measured_is_a_region(tmp_path: Path) -> None:
    """QuPath's own class for a region to work in has a star, too."""
    assert read_regions(written(tmp_path, [feature(LEFT, {"name": "Region*"})])).area == 100


def test_a_region_that_is_ignored_as_a_whole_is_an_error(tmp_path: Path) -> None:
    features = [feature(LEFT), feature(box(-1, -1, 11, 11), {"name": "Ignore*"})]
    with pytest.raises(RegionError, match="holds no area"):
        read_regions(written(tmp_path, features))
