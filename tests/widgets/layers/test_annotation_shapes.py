import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Layer
from shapely.geometry import MultiPolygon, box

from napari_smse.annotations import Annotation, AnnotationSet
from napari_smse.reader import get_reader
from napari_smse.widgets.layers.annotation_layer import AnnotationLayer
from napari_smse.widgets.layers.annotation_shapes import (
    CLASS,
    HOLE,
    IDENTITY,
    annotations_as_shapes,
    annotations_in,
    replace_shapes,
    shape_features,
    shapes_in,
)
from napari_smse.widgets.slide_layers import slide_of

RING = box(100, 100, 300, 300).difference(box(150, 150, 200, 200))
DRAWN = AnnotationSet(
    (
        Annotation("malignant", MultiPolygon([RING, box(400, 100, 500, 200)]), "parts"),
        Annotation("benign", box(600, 100, 700, 200), "one"),
    )
)


@pytest.fixture
def slide_layer(slide_path):
    (data, *_) = get_reader(str(slide_path))(str(slide_path))
    return Layer.create(*data)


@pytest.fixture
def layer(slide_layer, qapp):
    colours = {"benign": (0, 114, 178), "malignant": (213, 94, 0)}
    return AnnotationLayer(ViewerModel(), slide_layer, slide_of(slide_layer), colours).layer


def test_each_part_and_each_hole_is_a_shape(layer, slide_layer):
    shapes = annotations_as_shapes(DRAWN, layer, slide_layer)
    assert list(shapes.features[IDENTITY]) == ["parts"] * 3 + ["one"]
    assert list(shapes.features[CLASS]) == ["malignant"] * 3 + ["benign"]
    assert list(shapes.features[HOLE]) == [False, True, False, False]
    # In napari's order, (y, x), and with pixel 0 reaching from -0.5 to 0.5.
    np.testing.assert_allclose(shapes.outlines[1].min(axis=0), (149.5, 149.5))
    np.testing.assert_allclose(shapes.outlines[3].min(axis=0), (99.5, 599.5))


def test_shapes_become_the_annotations_that_they_were_made_of(layer, slide_layer):
    replace_shapes(layer, annotations_as_shapes(DRAWN, layer, slide_layer))
    found = annotations_in(layer, slide_layer, slide_of(slide_layer))
    assert [(one.class_name, one.id) for one in found.annotations] == [
        ("malignant", "parts"),
        ("benign", "one"),
    ]
    for one, expected in zip(found.annotations, DRAWN.annotations, strict=True):
        assert one.geometry.equals(expected.geometry)


def test_a_copy_keeps_what_the_layer_loses(layer, slide_layer):
    replace_shapes(layer, annotations_as_shapes(DRAWN, layer, slide_layer))
    kept = shapes_in(layer)
    layer.data = [outline + 50 for outline in layer.data]
    layer.selected_data = {0}
    layer.remove_selected()
    replace_shapes(layer, kept)
    found = annotations_in(layer, slide_layer, slide_of(slide_layer))
    assert found.annotations[0].geometry.equals(DRAWN.annotations[0].geometry)
    assert layer.selected_data == set()


def test_an_empty_layer_has_the_features_of_shapes():
    features = shape_features([])
    assert list(features.columns) == [CLASS, IDENTITY, HOLE]
    assert features[HOLE].dtype == bool
