from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, Polygon, box, mapping

from napari_smse.annotations import read_annotations, read_class_regions, read_regions
from napari_smse.errors import OutputError, RegionError
from napari_smse.results import (
    TileRows,
    tile_table,
    write_qupath_tiles,
)

CLASSES = ("benign", "malignant")
SQUARE = box(10, 20, 110, 220)
BOW_TIE = {"type": "Polygon", "coordinates": [[[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]]]}


def feature(geometry: Any) -> dict[str, Any]:
    return {"type": "Feature", "properties": {"objectType": "annotation"}, "geometry": geometry}


def written(folder: Path, content: Any) -> Path:
    path = folder / "regions.geojson"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@st.composite
def areas(draw: st.DrawFn) -> MultiPolygon:
    """Rectangles side by side, some with a hole."""
    polygons, left = [], draw(st.integers(-1000, 1000))
    for _ in range(draw(st.integers(1, 4))):
        width, height = draw(st.integers(10, 500)), draw(st.integers(10, 500))
        top = draw(st.integers(-500, 500))
        outer = box(left, top, left + width, top + height)
        if draw(st.booleans()):
            hole = draw(st.integers(1, min(width, height) // 2 - 1))
            outer = outer.difference(box(left + 2, top + 2, left + 2 + hole, top + 2 + hole))
        polygons.append(outer)
        left += width + draw(st.integers(1, 50))
    return MultiPolygon(polygons)


@given(areas(), st.tuples(st.integers(-5000, 5000), st.integers(-5000, 5000)), st.booleans())
def test_areas_come_back_with_holes_and_offset(
    tmp_path_factory: pytest.TempPathFactory,
    area: MultiPolygon,
    origin: tuple[int, int],
    split: bool,
) -> None:
    parts = list(area.geoms) if split else [area]
    collection = {"type": "FeatureCollection", "features": [feature(mapping(p)) for p in parts]}
    path = written(tmp_path_factory.mktemp("areas"), collection)
    read = read_regions(path, bounds_origin=origin)
    expected = shapely.transform(area, lambda points: points + origin)
    assert read.is_valid
    assert read.symmetric_difference(expected).area == 0
    assert sum(len(p.interiors) for p in read.geoms) == sum(len(p.interiors) for p in area.geoms)


@pytest.mark.parametrize(
    "content",
    [
        mapping(SQUARE),
        feature(mapping(SQUARE)),
        [feature(mapping(SQUARE))],
        {"type": "FeatureCollection", "features": [feature(mapping(SQUARE)), feature(None)]},
        {"type": "GeometryCollection", "geometries": [mapping(SQUARE)]},
        feature({"type": "GeometryCollection", "geometries": [mapping(SQUARE)]}),
        {"type": "Polygon", "coordinates": [[[x, y, 7] for x, y in SQUARE.exterior.coords]]},
        "\ufeff" + json.dumps(mapping(SQUARE)),
    ],
    ids=["bare", "feature", "list", "collection", "geometries", "nested", "3-d", "byte order mark"],
)
def test_every_form_of_geojson_is_read(tmp_path: Path, content: Any) -> None:
    read = read_regions(written(tmp_path, content))
    assert isinstance(read, MultiPolygon)
    assert read.equals(SQUARE)


def test_areas_that_overlap_become_one(tmp_path: Path) -> None:
    other = box(60, 20, 160, 220)
    read = read_regions(written(tmp_path, [mapping(SQUARE), mapping(other)]))
    assert len(read.geoms) == 1
    assert read.equals(SQUARE.union(other))


def test_points_and_lines_are_left_out_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    point = {"type": "Point", "coordinates": [0, 0]}
    line = {"type": "LineString", "coordinates": [[0, 0], [900, 900]]}
    with caplog.at_level(logging.INFO, logger="napari_smse"):
        read = read_regions(written(tmp_path, [mapping(SQUARE), point, line]))
    assert read.equals(SQUARE)
    assert "left out a Point" in caplog.text
    assert "left out a LineString" in caplog.text


def test_an_outline_that_crosses_itself_is_mended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read = read_regions(written(tmp_path, BOW_TIE))
    assert read.is_valid
    assert read.area == pytest.approx(50)  # two triangles of 10 x 5 / 2
    assert "mended an outline" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 200_000, "not JSON"),
        ("42", "not GeoJSON"),
        ('{"type": "Slide"}', "not GeoJSON"),
        ('{"type": "FeatureCollection"}', "FeatureCollection without features"),
        ('{"type": "FeatureCollection", "features": []}', "holds no area"),
        ('{"type": "Point", "coordinates": [1, 2]}', "holds no area"),
        ('{"type": "Polygon", "coordinates": []}', "holds no area"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [9, 0], [0, 0]]]}', "no area"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [9, 0], [9, NaN], [0, 0]]]}', "2 numbers"),
        ('{"type": "Polygon", "coordinates": [[["a", 0], [9, 0], [9, 9]]]}', "2 numbers"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [9, 0]]]}', "at least 3 points"),
        ('{"type": "Polygon", "coordinates": 7}', "2 numbers"),
        ('{"type": "Polygon"}', "2 numbers"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [5, 5], [9, 9], [0, 0]]]}', "no area"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, content: str, message: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(RegionError, match=message) as raised:
        read_regions(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_file_and_a_binary_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(RegionError, match="check the path"):
        read_regions(tmp_path / "none.geojson")
    binary = tmp_path / "slide.tif"
    binary.write_bytes(b"II*\x00\xff\xfe\x80")
    with pytest.raises(RegionError, match="not a text file"):
        read_regions(binary)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 999), st.floats(0, 1)
        ),
        max_size=20,
    ),
    st.tuples(st.integers(0, 5000), st.integers(0, 5000)),
)
def test_tiles_stand_where_qupath_looks_for_them(
    tmp_path_factory: pytest.TempPathFactory,
    tiles: list[tuple[int, int, int, float]],
    origin: tuple[int, int],
) -> None:
    path = tmp_path_factory.mktemp("tiles") / "tiles.geojson"
    regions = np.array([(x, y, side, side + 1) for x, y, side, _ in tiles]).reshape(-1, 4)
    p = np.array([p for *_, p in tiles], np.float64)
    scale = TileRows(0.5, regions, np.ones(len(p)), np.column_stack([1 - p, p]))
    write_qupath_tiles(path, tile_table([scale], CLASSES), CLASSES, bounds_origin=origin)
    features = json.loads(path.read_text())["features"]
    assert len(features) == len(tiles)
    for item, (x, y, side, p_malignant) in zip(features, tiles, strict=True):
        outline = Polygon(item["geometry"]["coordinates"][0])
        left, top = x - origin[0], y - origin[1]
        assert outline.equals(box(left, top, left + side, top + side + 1))
        measured = item["properties"]["measurements"]["P(malignant)"]
        assert measured == pytest.approx(p_malignant, abs=1e-6)


def tiles_of(probabilities: list[list[float]]) -> Any:
    n = len(probabilities)
    regions = np.tile([0, 0, 8, 8], (n, 1))
    return tile_table([TileRows(0.25, regions, np.ones(n), np.array(probabilities))], CLASSES)


def test_a_tile_is_classified_as_its_most_probable_class(tmp_path: Path) -> None:
    path = tmp_path / "tiles.geojson"
    write_qupath_tiles(path, tiles_of([[0.9, 0.1], [0.2, 0.8], [np.nan, np.nan]]), CLASSES)
    text = path.read_text()
    assert "NaN" not in text  # which is not JSON
    first, second, third = (f["properties"] for f in json.loads(text)["features"])
    assert first["objectType"] == "tile"
    assert first["classification"] == {"name": "benign", "color": [0, 114, 178]}
    assert second["classification"]["name"] == "malignant"
    assert "classification" not in third
    assert third["measurements"] == {"µm/px": 0.25, "Tissue": 1.0}


def test_a_tile_is_classified_as_it_is_called(tmp_path: Path) -> None:
    path = tmp_path / "tiles.geojson"
    rows = TileRows(
        0.25,
        np.tile([0, 0, 8, 8], (3, 1)),
        np.ones(3),
        np.array([[0.1, 0.9], [0.45, 0.55], [0.1, 0.9]]),
        np.array([0.5, np.nan, 1.5]),
        ["malignant", "indeterminate", "out of distribution"],
        "smse 2",
    )
    write_qupath_tiles(path, tile_table([rows], CLASSES), CLASSES)
    content = json.loads(path.read_text())
    assert content["model"] == "smse 2"
    found = [one["properties"] for one in content["features"]]
    names = [one["classification"]["name"] for one in found]
    assert names == ["malignant", "indeterminate", "out of distribution"]
    assert len({tuple(one["classification"]["color"]) for one in found}) == 3
    scores = [one["measurements"].get("Out-of-distribution score") for one in found]
    assert scores == [0.5, None, 1.5]


def test_tiles_take_the_colours_given_and_else_the_usual_ones(tmp_path: Path) -> None:
    path = tmp_path / "tiles.geojson"
    tiles = tiles_of([[0.9, 0.1], [0.2, 0.8]])
    write_qupath_tiles(path, tiles, CLASSES, colours={"malignant": (1, 2, 3)})
    found = [f["properties"]["classification"] for f in json.loads(path.read_text())["features"]]
    assert [one["color"] for one in found] == [[0, 114, 178], [1, 2, 3]]


def test_our_own_tiles_can_be_a_region_of_interest(tmp_path: Path) -> None:
    path = tmp_path / "tiles.geojson"
    write_qupath_tiles(path, tiles_of([[0.9, 0.1]]), CLASSES, bounds_origin=(100, 200))
    assert read_regions(path, bounds_origin=(100, 200)).equals(box(0, 0, 8, 8))


def test_our_own_tiles_are_no_annotations(tmp_path: Path) -> None:
    path = tmp_path / "slide.geojson"
    write_qupath_tiles(path, tiles_of([[0.9, 0.1], [0.2, 0.8]]), CLASSES)
    for read in (read_annotations, read_class_regions):
        with pytest.raises(RegionError, match="holds no annotation: its 2 areas are tiles"):
            read(path)
    # Whatever an object is made into, its measurements say where it is from.
    content = json.loads(path.read_text())
    for one in content["features"]:
        one["properties"]["objectType"] = "annotation"
    path.write_text(json.dumps(content))
    with pytest.raises(RegionError, match="holds no annotation"):
        read_class_regions(path)


def test_annotations_are_read_from_a_file_with_our_tiles(tmp_path: Path) -> None:
    path = tmp_path / "slide.geojson"
    write_qupath_tiles(path, tiles_of([[0.9, 0.1], [0.2, 0.8]]), CLASSES)
    content = json.loads(path.read_text())
    drawn = feature(mapping(SQUARE))
    drawn["properties"]["classification"] = {"name": "fat"}
    content["features"].insert(1, drawn)
    path.write_text(json.dumps(content))
    (one,) = read_annotations(path).annotations
    assert (one.class_name, one.geometry) == ("fat", SQUARE)
    assert list(read_class_regions(path)) == ["fat"]


def test_many_tiles_are_more_than_one_batch(tmp_path: Path) -> None:
    path = tmp_path / "tiles.geojson"
    write_qupath_tiles(path, tiles_of([[0.9, 0.1]] * 2500), CLASSES)
    assert len(json.loads(path.read_text())["features"]) == 2500


def test_tiles_that_cannot_be_written_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="its folder does not exist"):
        write_qupath_tiles(tmp_path / "none" / "t.geojson", tiles_of([[0.9, 0.1]]), CLASSES)


def test_a_tile_of_an_encoder_has_no_class_in_qupath(tmp_path: Path) -> None:
    tiles = TileRows(0.5, np.array([[0, 0, 448, 448]]), np.array([0.75]), np.array([[1.0]]))
    path = tmp_path / "tiles.geojson"
    write_qupath_tiles(path, tile_table([tiles], ("unclassified",)), ("unclassified",))
    (tile,) = json.loads(path.read_text())["features"]
    assert "classification" not in tile["properties"]
    assert not any(name.startswith("P(") for name in tile["properties"]["measurements"])
