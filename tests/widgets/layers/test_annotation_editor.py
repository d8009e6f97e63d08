"""Regions that are painted, erased and cut, step by step, and taken back."""

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Layer
from shapely import LineString, MultiPolygon, box

from napari_smse.annotations import Annotation, AnnotationSet
from napari_smse.reader import get_reader
from napari_smse.widgets.layers.annotation_editor import AnnotationEditor
from napari_smse.widgets.layers.annotation_layer import AnnotationLayer
from napari_smse.widgets.layers.annotation_shapes import shapes_in
from napari_smse.widgets.slide_layers import slide_of

COLOURS = {"benign": (0, 114, 178), "malignant": (213, 94, 0)}


@pytest.fixture
def drawing(slide_path, qapp):
    viewer = ViewerModel()
    for data in get_reader(str(slide_path))(str(slide_path)):
        viewer.layers.append(Layer.create(*data))
    slide_layer = viewer.layers[0]
    return AnnotationLayer(viewer, slide_layer, slide_of(slide_layer), COLOURS)


@pytest.fixture
def editor(drawing):
    return AnnotationEditor(drawing)


def same(first, second):
    return (
        len(first.outlines) == len(second.outlines)
        and all(map(np.array_equal, first.outlines, second.outlines))
        and first.kinds == second.kinds
        and first.features.equals(second.features)
    )


def regions(drawing):
    return drawing.annotations().regions()


def test_a_painted_area_grows_the_region_it_meets_and_keeps_what_it_says(drawing, editor):
    known = Annotation("benign", box(100, 100, 200, 200), "an id", {"name": "duct"})
    drawing.show(AnnotationSet((known,), COLOURS))
    assert editor.paint(box(150, 100, 300, 200))
    (one,) = drawing.annotations().annotations
    assert one.geometry.equals(box(100, 100, 300, 200))
    assert (one.id, one.properties) == ("an id", {"name": "duct"})
    drawing.choose_class("malignant")
    assert editor.paint(box(150, 100, 300, 200))
    assert set(regions(drawing)) == {"benign", "malignant"}


def test_what_a_merge_swallowed_comes_back_with_all_that_it_said(drawing, editor):
    first, second = (
        Annotation("benign", box(x, 0, x + 50, 50), f"{x}", {"name": f"{x}"}) for x in (0, 100)
    )
    drawing.show(AnnotationSet((first, second), COLOURS))
    editor.paint(box(25, 20, 125, 30))
    assert len(drawing.annotations().annotations) == 1
    drawing.undo()
    assert {one.properties["name"] for one in drawing.annotations().annotations} == {"0", "100"}


def test_an_area_beside_the_slide_is_not_painted(drawing, editor):
    width, height = drawing.slide.width, drawing.slide.height
    assert not editor.paint(box(-100, -100, -50, -50))
    assert editor.paint(box(width - 50, height - 50, width + 50, height + 50))
    assert regions(drawing)["benign"].area == pytest.approx(2500)


def test_erasing_meets_the_chosen_class_or_every_class(drawing, editor):
    both = [Annotation(name, box(0, 0, 100, 100)) for name in COLOURS]
    drawing.show(AnnotationSet(tuple(both), COLOURS))
    assert editor.erase(box(0, 0, 100, 50))
    assert {name: area.area for name, area in regions(drawing).items()} == {
        "benign": 5000,
        "malignant": 10000,
    }
    editor.every_class = True
    assert editor.erase(box(0, 0, 100, 100))
    assert not drawing.annotations().annotations
    assert not editor.erase(box(0, 0, 100, 100))


def test_holes_are_kept_and_made(drawing, editor):
    drawing.show(AnnotationSet((Annotation("benign", box(0, 0, 300, 300)),), COLOURS))
    editor.erase(box(100, 100, 200, 200))
    (one,) = drawing.annotations().annotations
    assert len(one.geometry.interiors) == 1
    editor.paint(box(250, 250, 400, 400))
    (one,) = drawing.annotations().annotations
    assert len(one.geometry.interiors) == 1
    assert one.geometry.area == 300 * 300 - 100 * 100 + 150 * 150 - 50 * 50


def test_the_next_shape_is_cut_out_and_the_one_after_it_is_drawn(drawing, editor, qtbot):
    drawing.show(AnnotationSet((Annotation("benign", box(0, 0, 100, 100)),), COLOURS))
    editor.cut_next(True)
    with qtbot.waitSignal(editor.was_cut) as told:
        drawing.layer.add(rectangle(50, 0, 100, 100), shape_type="rectangle")
    assert told.args == [True]
    (one,) = drawing.annotations().annotations
    assert one.geometry.equals(box(0, 0, 50, 100))
    drawing.layer.add(rectangle(200, 0, 50, 50), shape_type="rectangle")
    assert len(drawing.annotations().annotations) == 2
    drawing.undo()
    drawing.undo()
    assert regions(drawing)["benign"].area == 10000
    assert drawing.redo()
    assert regions(drawing)["benign"].area == 5000


def test_a_cut_that_meets_nothing_leaves_all_as_it_was(drawing, editor, qtbot):
    drawing.show(AnnotationSet((Annotation("malignant", box(0, 0, 100, 100)),), COLOURS))
    before = shapes_in(drawing.layer)
    editor.cut_next(True)
    with qtbot.waitSignal(editor.was_cut) as told:
        drawing.layer.add(rectangle(50, 0, 100, 100), shape_type="rectangle")
    assert told.args == [False]
    assert same(shapes_in(drawing.layer), before)


def rectangle(x, y, width, height):
    corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    return np.array([(b - 0.5, a - 0.5) for a, b in corners])


PLACES = st.tuples(st.integers(0, 900), st.integers(0, 700))
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["paint", "erase", "erase all"]),
        st.sampled_from(list(COLOURS)),
        st.lists(PLACES, min_size=2, max_size=4, unique=True),
        st.integers(10, 80),
    ),
    min_size=1,
    max_size=5,
)


ISLAND = [
    ("paint", "benign", [(0, 0), (0, 353)], 40),
    ("paint", "benign", [(312, 471), (553, 213), (357, 0), (325, 428)], 47),
    # What it leaves lies in the hole of the rest.
    ("erase all", "benign", [(312, 471), (553, 213), (357, 84), (325, 428)], 10),
]


@example(ISLAND)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(STEPS)
def test_undo_and_redo_restore_every_step_exactly(drawing, editor, steps):
    drawing.show(AnnotationSet())
    states = [shapes_in(drawing.layer)]
    for what, name, points, radius in steps:
        drawing.choose_class(name)
        stroke = LineString(points).buffer(radius)
        editor.every_class = what == "erase all"
        before = {one: area for one, area in regions(drawing).items()}
        changed = (editor.paint if what == "paint" else editor.erase)(stroke)
        if changed:
            states.append(shapes_in(drawing.layer))
        for one in COLOURS:
            had = before.get(one, MultiPolygon())
            if what == "paint" and one == name:
                had = had.union(stroke)
            elif what == "erase all" or (what == "erase" and one == name):
                had = had.difference(stroke)
            page = shapely.box(0, 0, drawing.slide.width, drawing.slide.height)
            found = regions(drawing).get(one, MultiPolygon())
            assert found.symmetric_difference(had.intersection(page)).area < 1
    for state in reversed(states[:-1]):
        assert drawing.undo()
        assert same(shapes_in(drawing.layer), state)
    for state in states[1:]:
        assert drawing.redo()
        assert same(shapes_in(drawing.layer), state)
    assert not drawing.redo()
