"""Annotations to QuPath's GeoJSON and back."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.affinity import translate
from shapely.geometry import MultiPolygon, Polygon, box, mapping

from napari_smse.annotations import (
    Annotation,
    AnnotationSet,
    annotations_as_geojson,
    annotations_from_geojson,
    read_annotations,
    read_class_regions,
    write_annotations,
)
from napari_smse.annotations.tile_notes import PairConstraint, TileCorrection, TilePlace
from napari_smse.errors import OutputError, RegionError
from napari_smse.palette import ANNOTATION_COLOURS

RING = box(0, 0, 100, 100).difference(box(20, 20, 40, 40))
PARTS = MultiPolygon([RING, box(200, 0, 300, 50)])
# As QuPath 0.5 exports: ids, a locked annotation, measurements, a colour, a derived class.
QUPATH: dict[str, Any] = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "id": "3f2b1c9e-0a44-4a43-9d3b-0d6f5a1f6b11",
            "geometry": mapping(PARTS),
            "properties": {
                "objectType": "annotation",
                "name": "left lobe",
                "isLocked": True,
                "classification": {"name": "Tumor", "color": [200, 0, 0]},
                "measurements": {"Area um^2": 12.5},
            },
        },
        {
            "type": "Feature",
            "id": "d1a1e3d1-7f6e-4f9e-8f2c-2d7a3c1f9a01",
            "geometry": mapping(box(500, 500, 600, 600)),
            "properties": {
                "objectType": "annotation",
                "classification": {"names": ["Tumor", "Positive"], "colorRGB": -16776961},
            },
        },
        {
            "type": "Feature",
            "geometry": mapping(box(0, 500, 10, 510)),
            "properties": {"objectType": "annotation"},
        },
    ],
}


def written(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_what_qupath_writes_is_read(tmp_path: Path) -> None:
    found = read_annotations(written(tmp_path / "a.geojson", QUPATH), bounds_origin=(1000, 2000))
    tumor, positive, plain = found.annotations
    assert (tumor.class_name, positive.class_name, plain.class_name) == (
        "Tumor",
        "Tumor: Positive",
        "",
    )
    assert tumor.id == QUPATH["features"][0]["id"]
    assert UUID(plain.id)
    assert tumor.geometry.equals(translate(PARTS, 1000, 2000))
    assert found.colours == {"Tumor": (200, 0, 0), "Tumor: Positive": (0, 0, 255)}
    assert tumor.properties["measurements"] == {"Area um^2": 12.5}


def test_it_is_written_back_as_it_was(tmp_path: Path) -> None:
    path = written(tmp_path / "a.geojson", QUPATH)
    again = tmp_path / "b.geojson"
    write_annotations(again, read_annotations(path, bounds_origin=(7, 9)), bounds_origin=(7, 9))
    features = json.loads(again.read_text(encoding="utf-8"))["features"]
    for was, now in zip(QUPATH["features"], features, strict=True):
        assert now["properties"]["objectType"] == "annotation"
        for key, value in was["properties"].items():
            if key != "classification":
                assert now["properties"][key] == value
        assert shapely.geometry.shape(now["geometry"]).equals(
            shapely.geometry.shape(was["geometry"])
        )
    assert features[0]["id"] == QUPATH["features"][0]["id"]
    assert features[0]["geometry"]["type"] == "MultiPolygon"
    assert features[0]["properties"]["classification"] == {"name": "Tumor", "color": [200, 0, 0]}
    assert "classification" not in features[2]["properties"]
    # The same way that the shell reads annotations beside slides.
    assert set(read_class_regions(again)) == {"Tumor", "Tumor: Positive"}


@st.composite
def sets(draw: st.DrawFn) -> AnnotationSet:
    names = draw(st.lists(st.text(min_size=1, max_size=8).map(str.strip).filter(bool), max_size=3))
    made = []
    for _ in range(draw(st.integers(0, 5))):
        x, y = draw(st.integers(-9999, 9999)), draw(st.integers(-9999, 9999))
        shape: Polygon | MultiPolygon = draw(st.sampled_from([RING, PARTS, box(0, 0, 3, 5)]))
        moved = translate(shape, x, y)
        made.append(Annotation(draw(st.sampled_from(["", *names])), moved))
    colour = st.tuples(*[st.integers(0, 255)] * 3)
    return AnnotationSet(tuple(made), {name: draw(colour) for name in names})


@given(sets(), st.tuples(st.integers(-5000, 5000), st.integers(-5000, 5000)))
def test_any_annotations_come_back(
    tmp_path_factory: pytest.TempPathFactory, drawn: AnnotationSet, origin: tuple[int, int]
) -> None:
    path = tmp_path_factory.mktemp("drawn") / "a.geojson"
    write_annotations(path, drawn, bounds_origin=origin)
    found = read_annotations(path, bounds_origin=origin)
    assert [one.id for one in found.annotations] == [one.id for one in drawn.annotations]
    assert [one.class_name for one in found.annotations] == [
        one.class_name for one in drawn.annotations
    ]
    for was, now in zip(drawn.annotations, found.annotations, strict=True):
        assert now.geometry.equals(was.geometry)
    for name in {one.class_name for one in drawn.annotations} - {""}:
        assert found.colours[name] == drawn.colours[name]


def test_regions_join_what_is_drawn_of_a_class_and_leave_out_what_qupath_ignores() -> None:
    drawn = AnnotationSet(
        (
            Annotation("benign", box(0, 0, 10, 10)),
            Annotation("benign", box(5, 0, 15, 10)),
            Annotation("Ignore*", box(50, 50, 60, 60)),
            Annotation("", box(70, 70, 80, 80)),
        )
    )
    regions = drawn.regions()
    assert list(regions) == ["benign"]
    assert regions["benign"].area == 150
    assert drawn.classes == ("benign", "Ignore*")
    assert drawn.class_colour("benign") == ANNOTATION_COLOURS["benign"]


def test_two_of_one_id_both_stay(tmp_path: Path) -> None:
    twice = {"type": "FeatureCollection", "features": [QUPATH["features"][0]] * 2}
    found = read_annotations(written(tmp_path / "a.geojson", twice))
    assert len({one.id for one in found.annotations}) == 2


@pytest.mark.parametrize("properties", [None, [], "x", {"classification": 3}])
def test_odd_properties_do_no_harm(tmp_path: Path, properties: object) -> None:
    feature = {"type": "Feature", "geometry": mapping(RING), "properties": properties}
    (one,) = read_annotations(written(tmp_path / "a.geojson", feature)).annotations
    assert one.class_name == ""


def test_what_is_no_geojson_and_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(RegionError, match="not GeoJSON"):
        read_annotations(written(tmp_path / "a.geojson", {"type": "Nonsense"}))
    with pytest.raises(OutputError, match="create it first"):
        write_annotations(tmp_path / "missing" / "a.geojson", AnnotationSet())


PLACE = TilePlace("hash", 0.5, 10, 20, 224, 224)
LINK = PairConstraint(PLACE, TilePlace("other", 0.25, 0, 0, 112, 112), False)


def test_links_and_remarks_come_back_where_they_were(tmp_path: Path) -> None:
    said = AnnotationSet(
        (Annotation("Tumor", box(0, 0, 5, 5)),),
        constraints=(LINK,),
        corrections=(TileCorrection(PLACE, "class", "Stroma"),),
    )
    path = tmp_path / "a.geojson"
    # Tiles are counted from the slide's corner, whatever origin QuPath's geometry has.
    write_annotations(path, said, bounds_origin=(300, 400))
    found = read_annotations(path, bounds_origin=(300, 400))
    assert (found.constraints, found.corrections) == (said.constraints, said.corrections)
    assert found.annotations[0].geometry.equals(said.annotations[0].geometry)
    write_annotations(path, AnnotationSet(constraints=(LINK,)))
    assert read_annotations(path) == AnnotationSet(constraints=(LINK,))


PLACES = st.builds(TilePlace, mpp=st.floats(0.05, 10))
LINKS = st.builds(PairConstraint, PLACES, PLACES, st.booleans(), st.uuids().map(str))
REMARKS = st.builds(TileCorrection, PLACES)


@given(
    st.lists(LINKS, max_size=3).map(tuple),
    st.lists(REMARKS, max_size=3).map(tuple),
    st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)),
)
def test_any_notes_of_one_are_read_by_another(
    links: tuple[PairConstraint, ...],
    corrections: tuple[TileCorrection, ...],
    origin: tuple[int, int],
) -> None:
    said = AnnotationSet(constraints=links, corrections=corrections)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.geojson"
        write_annotations(path, said, bounds_origin=origin)
        # Whoever reads it for another slide, with other bounds, finds the tiles where they are.
        assert read_annotations(path) == said


def test_damaged_notes_are_told(tmp_path: Path) -> None:
    path = written(tmp_path / "a.geojson", QUPATH | {"napari_smse": {"links": [3]}})
    with pytest.raises(RegionError, match="remove its member"):
        read_annotations(path)
    # For whoever wants the areas only, they are whole.
    assert read_class_regions(path)


def test_a_collection_within_another_file_is_read_as_a_file_of_its_own(tmp_path):
    drawn = AnnotationSet(
        (Annotation("tumour", box(0, 0, 10, 20).difference(box(2, 2, 4, 4)), "a"),),
        {"tumour": (1, 2, 3)},
        case="P1",
    )
    within = json.loads(json.dumps({"slides": [annotations_as_geojson(drawn)]}))["slides"][0]
    write_annotations(tmp_path / "a.geojson", drawn)
    read = annotations_from_geojson(within, tmp_path / "session.json")
    assert read == read_annotations(tmp_path / "a.geojson")
    assert read.case == "P1"
    with pytest.raises(RegionError, match=r"session\.json"):
        annotations_from_geojson({"type": "FeatureCollection"}, tmp_path / "session.json")


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (Annotation("tumour", box(0, 0, 1000, 1000.0004)), True),
        (Annotation("tumour", box(0, 0, 1000, 1002)), False),
        (Annotation("stroma", box(0, 0, 1000, 1000)), False),
    ],
)
def test_a_region_is_the_same_where_only_rounding_differs(other, same):
    assert Annotation("tumour", box(0, 0, 1000, 1000)).is_drawn_as(other) is same
