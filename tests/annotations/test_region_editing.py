"""Areas added to regions and taken away from them: nothing is lost, doubled or changed besides."""

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely import LineString, MultiPolygon, Point, Polygon, box

from napari_smse.annotations import Annotation
from napari_smse.annotations.region_editing import add_area, polygons_of, subtract_area

CLASSES = ("benign", "malignant", "Ignore*")
PLACES = st.tuples(st.integers(0, 300), st.integers(0, 300))
STROKES = st.builds(
    lambda points, radius: (
        LineString(points) if len(set(points)) > 1 else Point(points[0])
    ).buffer(radius),
    st.lists(PLACES, min_size=1, max_size=6),
    st.integers(5, 60),
)
# What is done: paint with a class, or erase from a class or from all.
STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "subtract"]), STROKES, st.sampled_from(CLASSES)),
    min_size=1,
    max_size=8,
)


def area_of(annotations, name):
    return shapely.union_all([one.geometry for one in annotations if one.class_name == name])


def differ(first, second):
    return first.symmetric_difference(second).area


@given(STEPS)
def test_the_area_adds_up_and_regions_of_a_class_never_overlap(steps):
    drawn = ()
    expected = dict.fromkeys(CLASSES, Polygon())
    for what, stroke, name in steps:
        if what == "add":
            drawn = add_area(drawn, stroke, name)
            expected[name] = expected[name].union(stroke)
        else:
            drawn = subtract_area(drawn, stroke, name)
            expected[name] = expected[name].difference(stroke)
        for one in CLASSES:
            assert differ(area_of(drawn, one), expected[one]) < 1e-3
            parts = sum(r.geometry.area for r in drawn if r.class_name == one)
            assert parts == pytest.approx(expected[one].area, abs=1e-3)
        assert all(one.geometry.is_valid and one.geometry.area > 0 for one in drawn)
        assert len({one.id for one in drawn}) == len(drawn)


@given(STEPS, STROKES)
def test_erasing_of_every_class_leaves_nothing_there_and_the_rest_as_it_was(steps, stroke):
    drawn = ()
    for _, area, name in steps:
        drawn = add_area(drawn, area, name)
    left = subtract_area(drawn, stroke, None)
    assert all(one.geometry.intersection(stroke).area < 1e-3 for one in left)
    for name in CLASSES:
        assert differ(area_of(left, name), area_of(drawn, name).difference(stroke)) < 1e-3
    untouched = [one for one in drawn if not one.geometry.intersects(stroke)]
    assert all(any(one is other for other in left) for one in untouched)


def test_a_stroke_that_meets_two_regions_makes_them_one_and_keeps_the_first():
    drawn = (
        Annotation("benign", box(0, 0, 10, 10), "first", {"name": "duct"}),
        Annotation("malignant", box(0, 0, 30, 10), "other"),
        Annotation("benign", box(20, 0, 30, 10), "second"),
    )
    found = add_area(drawn, box(5, 4, 25, 6), "benign")
    assert [one.id for one in found] == ["first", "other"]
    assert found[0].properties == {"name": "duct"}
    assert found[0].geometry.area == 100 + 100 + 20
    assert found[1] is drawn[1]


def test_a_stroke_around_leaves_a_hole_and_filling_it_closes_it():
    ring = box(0, 0, 30, 30).difference(box(10, 10, 20, 20))
    (one,) = add_area((), ring, "benign")
    assert len(one.geometry.interiors) == 1
    (one,) = add_area((one,), box(9, 9, 21, 21), "benign")
    assert one.geometry.equals(box(0, 0, 30, 30))


def test_erasing_through_the_middle_leaves_one_annotation_of_two_parts():
    drawn = (Annotation("benign", box(0, 0, 30, 10), "an id", {"lock": True}),)
    (one,) = subtract_area(drawn, box(10, -5, 20, 15), "benign")
    assert isinstance(one.geometry, MultiPolygon)
    assert (one.id, one.properties) == ("an id", {"lock": True})


@pytest.mark.parametrize("area", [Polygon(), Point(3, 3), LineString([(0, 0), (5, 5)])])
def test_what_has_no_area_changes_nothing(area):
    drawn = (Annotation("benign", box(0, 0, 10, 10)),)
    assert add_area(drawn, area, "benign") == drawn
    assert subtract_area(drawn, area, None) == drawn
    assert polygons_of(area) is None


def test_a_region_that_is_only_touched_is_not_changed():
    drawn = (Annotation("benign", box(0, 0, 10, 10)),)
    assert subtract_area(drawn, box(10, 0, 20, 10), None)[0] is drawn[0]
    assert add_area(drawn, box(2, 2, 4, 4), "benign")[0] is drawn[0]
