"""napari's own *Save layer* writes what is drawn as GeoJSON, and heat maps as OME-Zarr."""

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from shapely.geometry import box

from napari_smse.annotations import Annotation, AnnotationSet, read_annotations
from napari_smse.errors import OutputError, RegionError, RequestError, SlideNotFoundError
from napari_smse.reader import get_reader
from napari_smse.results.exchange.map_files import read_map
from napari_smse.results.exchange.ome_tiff import write_map
from napari_smse.widgets.layers.annotation_layer import AnnotationLayer
from napari_smse.widgets.layers.heat_map_layers import HeatMapLayers
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import slide_of
from support.slides import noise_image, write_pyramid_tiff
from widgets.layers.test_heat_map_layers import maps_of

pytestmark = pytest.mark.gui

COLOURS = {"benign": (0, 114, 178), "tumour: <é>": (213, 94, 0)}
RING = box(100, 100, 300, 300).difference(box(150, 150, 200, 200))


@pytest.fixture
def slide_layer(viewer, slide_path):
    (layer,) = viewer.open(str(slide_path), plugin="napari-smse")
    return layer


def drawn_in(path, slide):
    return read_annotations(path, bounds_origin=(slide.bounds.x, slide.bounds.y)).annotations


def test_annotations_are_saved_as_they_are(viewer, slide_layer, tmp_path):
    slide = slide_of(slide_layer)
    made = AnnotationLayer(viewer, slide_layer, slide, COLOURS)
    made.show(AnnotationSet((Annotation("tumour: <é>", RING, "an id"),), COLOURS))
    path = tmp_path / "drawn.geojson"
    assert made.layer.save(str(path)) == [str(path)]
    (one,) = drawn_in(path, slide)
    assert one.geometry.equals(RING)
    assert (one.class_name, one.id) == ("tumour: <é>", "an id")
    assert read_annotations(path).colours["tumour: <é>"] == (213, 94, 0)


def test_whatever_is_drawn_on_the_slide_in_view_is_saved(viewer, slide_layer, tmp_path):
    slide = slide_of(slide_layer)
    session_of(viewer).choose(slide_layer)
    mpp = slide.mpp
    corners = np.array([(200, 100), (200, 150), (260, 150), (260, 100)]) * mpp - mpp / 2
    line = np.array([(0, 0), (9, 9)])
    shapes = viewer.add_shapes(
        [corners, line], shape_type=["polygon", "line"], units=slide_layer.units
    )
    path = tmp_path / "shapes.geojson"
    assert viewer.layers.save(str(path), selected=True) == [str(path)]
    (one,) = drawn_in(path, slide)
    np.testing.assert_allclose(one.geometry.bounds, (100, 200, 150, 260))
    assert one.class_name == ""
    shapes.data = []
    with pytest.raises(RegionError, match="has no area on"):
        shapes.save(str(path))
    assert len(drawn_in(path, slide)) == 1


def test_shapes_on_no_slide_are_not_saved(viewer, tmp_path):
    shapes = viewer.add_shapes([np.array([(0, 0), (0, 9), (9, 9)])], shape_type="polygon")
    with pytest.raises(SlideNotFoundError, match="lies on no slide"):
        shapes.save(str(tmp_path / "shapes.geojson"))
    assert not list(tmp_path.glob("*.geojson"))


def test_a_heat_map_is_saved_where_it_lies_and_opens_there(viewer, slide_layer, tmp_path):
    laid = HeatMapLayers(
        viewer, slide_layer, slide_of(slide_layer), maps_of(("benign", "malignant"), (0.2, 0.8))
    )
    while laid.add_next():
        pass
    (layer,) = laid.layers.values()
    path = tmp_path / "map.ome.zarr"
    assert layer.save(str(path)) == [str(path)]
    stack = read_map(path)
    assert (stack.name, stack.classes) == ("20x", ("malignant",))
    np.testing.assert_array_equal(stack.values[0], layer.data)
    ((values, arguments, _),) = get_reader(str(path))(str(path))
    np.testing.assert_array_equal(values, layer.data)
    np.testing.assert_allclose(arguments["scale"], layer.scale)
    np.testing.assert_allclose(arguments["translate"], layer.translate, rtol=1e-9)
    (opened,) = viewer.open(str(path), plugin="napari-smse")
    again = tmp_path / "again.zarr"
    assert opened.save(str(again)) == [str(again)]
    np.testing.assert_allclose(read_map(again).origin_um, opened.translate, rtol=1e-9)
    assert layer.save(str(path)) == [str(path)]  # another map is replaced


@pytest.mark.parametrize("kind", ["ome.zarr", "ome.tif"])
def test_an_opened_map_is_seen_with_its_own_slide_alone(viewer, slide_layer, tmp_path, kind):
    laid = HeatMapLayers(
        viewer, slide_layer, slide_of(slide_layer), maps_of(("benign", "malignant"), (0.2, 0.8))
    )
    laid.add_next()
    (own,) = laid.layers.values()
    path = tmp_path / "map.ome.zarr"
    own.save(str(path))
    if kind == "ome.tif":
        write_map(tmp_path / "map.ome.tif", read_map(path))
        path = tmp_path / "map.ome.tif"
    other_path = write_pyramid_tiff(tmp_path / "other.tif", noise_image(900, 900), mpp=0.25)
    (opened,) = viewer.open(str(path), plugin="napari-smse")
    assert opened.visible
    (other,) = viewer.open(str(other_path), plugin="napari-smse")
    session = session_of(viewer)
    session.choose(other)
    assert not opened.visible
    session.choose(slide_layer)
    assert opened.visible
    session.choose(other)
    with notification_manager:
        (late,) = viewer.open(str(path), plugin="napari-smse")
        said = notification_manager.records[-1].message
    assert not late.visible
    assert "is of another slide" in said
    session.choose(slide_layer)
    assert late.visible
    again = tmp_path / "again.zarr"
    late.save(str(again))
    assert read_map(again).slide == slide_of(slide_layer).quick_hash


def test_what_is_no_map_is_not_replaced_or_written(viewer, slide_layer, tmp_path):
    laid = HeatMapLayers(
        viewer, slide_layer, slide_of(slide_layer), maps_of(("benign", "malignant"), (0.2, 0.8))
    )
    laid.add_next()
    (layer,) = laid.layers.values()
    mine = tmp_path / "mine.zarr"
    mine.mkdir()
    (mine / "file").write_text("kept")
    with pytest.raises(OutputError, match="lies there already"):
        layer.save(str(mine))
    assert (mine / "file").read_text() == "kept"
    other = viewer.add_image(np.zeros((9, 9)), name="other")
    with pytest.raises(RequestError, match="'other' is no heat map"):
        other.save(str(tmp_path / "other.ome.zarr"))
    assert not (tmp_path / "other.ome.zarr").exists()


def test_napari_saves_pictures_and_shapes_as_before(viewer, tmp_path):
    picture = viewer.add_image(np.zeros((9, 9)), name="other")
    shapes = viewer.add_shapes([np.array([(0, 0), (0, 9), (9, 9)])], shape_type="polygon")
    assert picture.save(str(tmp_path / "picture")) == [str(tmp_path / "picture.tif")]
    assert shapes.save(str(tmp_path / "shapes")) == [str(tmp_path / "shapes.csv")]
