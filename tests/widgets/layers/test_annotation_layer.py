import numpy as np
import pytest
import shapely
from napari.components import ViewerModel
from shapely.geometry import MultiPolygon, box

from napari_smse.annotations import Annotation, AnnotationSet
from napari_smse.reader import get_reader
from napari_smse.widgets.layers.annotation_layer import AnnotationLayer
from napari_smse.widgets.layers.annotation_shapes import CLASS, IDENTITY
from napari_smse.widgets.slide_layers import slide_of

COLOURS = {"benign": (0, 114, 178), "malignant": (213, 94, 0)}
RING = box(100, 100, 300, 300).difference(box(150, 150, 200, 200))
PARTS = MultiPolygon([RING, box(400, 100, 500, 200)])


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def slide_layer(viewer, slide_path):
    from napari.layers import Layer

    for data in get_reader(str(slide_path))(str(slide_path)):
        viewer.layers.append(Layer.create(*data))
    return viewer.layers[0]


@pytest.fixture
def made(viewer, slide_layer, qapp):
    return AnnotationLayer(viewer, slide_layer, slide_of(slide_layer), COLOURS)


def rectangle(x, y, width, height):
    """Corners as napari has them: (y, x), a pixel reaching from -0.5 to 0.5."""
    corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    return np.array([(b - 0.5, a - 0.5) for a, b in corners])


def draw(made, *place, kind="rectangle"):
    made.layer.add(rectangle(*place), shape_type=kind)


def test_what_is_drawn_lies_where_it_was_drawn(made):
    draw(made, 100, 200, 50, 60)
    (one,) = made.annotations().annotations
    assert one.class_name == "benign"
    assert one.geometry.equals(box(100, 200, 150, 260))


def test_holes_and_parts_come_back(made):
    drawn = AnnotationSet((Annotation("malignant", PARTS, "an id", {"name": "x"}),), COLOURS)
    made.show(drawn)
    assert (len(made.layer.data), made.count) == (3, 2)
    (one,) = made.annotations().annotations
    assert one.geometry.equals(PARTS)
    assert (one.class_name, one.id, one.properties) == ("malignant", "an id", {"name": "x"})


def test_a_class_is_chosen_for_the_selected_or_the_next(made):
    draw(made, 0, 0, 50, 50)
    made.layer.selected_data = set()
    assert not made.choose_class("malignant")
    draw(made, 100, 0, 50, 50)
    assert list(made.layer.features[CLASS]) == ["benign", "malignant"]
    made.layer.selected_data = {0}
    assert made.choose_class("malignant")
    assert list(made.layer.features[CLASS]) == ["malignant", "malignant"]
    expected = np.array([213, 94, 0]) / 255
    np.testing.assert_allclose(made.layer.edge_color[:, :3], [expected] * 2, atol=1e-6)
    np.testing.assert_allclose(made.layer.face_color[:, 3], 0.2)


def test_all_parts_of_an_annotation_take_its_class(made):
    made.show(AnnotationSet((Annotation("benign", PARTS),), COLOURS))
    made.layer.selected_data = {2}
    made.choose_class("malignant")
    assert set(made.layer.features[CLASS]) == {"malignant"}


def test_what_is_pasted_is_an_annotation_of_its_own(made):
    made.show(AnnotationSet((Annotation("benign", RING),), COLOURS))
    made.layer.selected_data = {0, 1}
    made.layer._copy_data()
    made.layer._paste_data()
    identities = list(made.layer.features[IDENTITY])
    assert identities[0] == identities[1] != identities[2] == identities[3]
    assert len(made.annotations().annotations) == 2


def test_everything_can_be_taken_back(made, viewer):
    states = [made.annotations().regions()]

    def note():
        states.append(made.annotations().regions())

    draw(made, 0, 0, 50, 50)
    note()
    draw(made, 100, 0, 50, 50)
    note()
    made.layer.selected_data = {1}
    made.choose_class("malignant")
    note()
    made.layer.selected_data = {0}
    made.layer.remove_selected()
    note()
    for expected in reversed(states[:-1]):
        assert made.undo()
        found = made.annotations().regions()
        assert found.keys() == expected.keys()
        assert all(found[name].equals(expected[name]) for name in expected)
    assert not made.undo()


def test_a_removed_layer_comes_back_with_all_that_was_drawn(made, viewer, qtbot):
    draw(made, 0, 0, 50, 50)
    with qtbot.waitSignal(made.changed):
        viewer.layers.remove(made.layer)
    assert len(made.annotations().annotations) == 1
    assert made.undo()
    assert made.layer in viewer.layers


def test_what_has_no_area_on_the_slide_is_left_out_and_counted(made):
    made.layer.add(np.array([[0, 0], [50, 50]]), shape_type="line")
    draw(made, -500, -500, 100, 100)
    draw(made, 1250, 0, 100, 100)
    (one,) = made.annotations().annotations
    assert one.geometry.equals(box(1250, 0, 1300, 100))
    assert made.left_out(made.annotations()) == 2


def test_an_outline_that_crosses_itself_is_mended(made):
    bow = np.array([[0.0, 0], [100, 100], [100, 0], [0, 100]])
    made.layer.add(bow, shape_type="polygon")
    (one,) = made.annotations().annotations
    assert one.geometry.is_valid
    assert one.geometry.area == pytest.approx(5000, rel=0.02)


def test_a_layer_that_is_there_is_used_again(made, viewer, slide_layer):
    draw(made, 0, 0, 50, 50)
    again = AnnotationLayer(viewer, slide_layer, slide_of(slide_layer), COLOURS)
    assert again.layer is made.layer
    assert len(again.annotations().annotations) == 1


def test_import_replaces_only_what_has_the_same_identity(made):
    made.show(AnnotationSet((Annotation("benign", RING, "one"),), COLOURS))
    new = Annotation("malignant", box(0, 0, 10, 10), "one"), Annotation("", box(0, 0, 5, 5), "two")
    made.add(AnnotationSet(new))
    assert [(one.id, one.class_name) for one in made.annotations().annotations] == [
        ("one", "malignant"),
        ("two", ""),
    ]


def test_a_class_can_be_renamed(made):
    draw(made, 0, 0, 50, 50)
    made.rename_class("benign", "normal")
    assert list(made.layer.features[CLASS]) == ["normal"]


def test_an_ellipse_has_its_area(made):
    draw(made, 100, 100, 200, 100, kind="ellipse")
    (one,) = made.annotations().annotations
    assert one.geometry.area == pytest.approx(np.pi * 100 * 50, rel=0.01)
    assert shapely.box(99, 99, 301, 201).covers(one.geometry)
