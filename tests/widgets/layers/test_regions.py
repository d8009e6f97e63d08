import numpy as np
import pytest
from napari.components import ViewerModel

from napari_smse.errors import RegionError
from napari_smse.reader import SLIDE_KEY
from napari_smse.slides import open_slide
from napari_smse.widgets.layers.regions import (
    RegionChoice,
    chosen_region,
    drawn_region,
)
from napari_smse.widgets.slide_layers import (
    LayerKind,
    LayerMark,
)
from support.slides import noise_image, write_pyramid_tiff


@pytest.fixture
def viewer():
    made = ViewerModel()
    made.add_image(np.zeros((100, 200, 3), np.uint8), scale=(0.5, 0.5), name="slide")
    return made


RECTANGLE = np.array([[10, 20], [10, 40], [30, 40], [30, 20]], dtype=float)


def test_the_whole_slide_needs_no_region(viewer):
    assert chosen_region(RegionChoice.WHOLE, viewer, viewer.layers[0]) is None


def test_shapes_come_out_in_level0_px(viewer):
    viewer.add_shapes([RECTANGLE], shape_type="rectangle")
    region = drawn_region(viewer, viewer.layers["slide"])
    assert region.bounds == pytest.approx((40.5, 20.5, 80.5, 60.5))


def test_a_shapes_layer_may_have_its_own_scale(viewer):
    viewer.add_shapes([RECTANGLE], scale=(0.5, 0.5), translate=(1, 2))
    region = drawn_region(viewer, viewer.layers["slide"])
    assert region.bounds == pytest.approx((24.5, 12.5, 44.5, 32.5))


def test_an_ellipse_has_its_area(viewer):
    viewer.add_shapes([RECTANGLE], shape_type="ellipse")
    region = drawn_region(viewer, viewer.layers["slide"])
    assert region.area == pytest.approx(np.pi * 20 * 20, rel=0.01)


def test_only_selected_shapes_count_if_some_are(viewer):
    shapes = viewer.add_shapes([RECTANGLE, RECTANGLE + 50])
    shapes.selected_data = {1}
    assert drawn_region(viewer, viewer.layers["slide"]).bounds[0] == pytest.approx(140.5)
    shapes.selected_data = set()
    assert drawn_region(viewer, viewer.layers["slide"]).area == pytest.approx(2 * 1600)


def test_a_self_crossing_polygon_is_mended(viewer):
    bow_tie = np.array([[0, 0], [20, 20], [0, 20], [20, 0]], dtype=float)
    viewer.add_shapes([bow_tie], shape_type="polygon")
    region = drawn_region(viewer, viewer.layers["slide"])
    assert region.is_valid
    assert region.area == pytest.approx(800)


@pytest.mark.parametrize("kind", ["line", "path", None])
def test_what_has_no_area_is_said_so(viewer, kind):
    if kind:
        viewer.add_shapes([np.array([[0, 0], [20, 20]], dtype=float)], shape_type=kind)
    with pytest.raises(RegionError, match="No area is drawn"):
        drawn_region(viewer, viewer.layers["slide"])


def test_what_the_program_outlined_itself_is_no_region(viewer):
    viewer.add_shapes([RECTANGLE], metadata=LayerMark(LayerKind.EXAMPLES, None).metadata)
    with pytest.raises(RegionError, match="No area is drawn"):
        drawn_region(viewer, viewer.layers["slide"])
    viewer.add_shapes([RECTANGLE + 50])
    assert drawn_region(viewer, viewer.layers["slide"]).bounds[0] == pytest.approx(140.5)


def annotated(classes, holes=(False, False)):
    features = {"class": classes, "annotation": ["1", "2"], "hole": list(holes)}
    return {
        "shape_type": "rectangle",
        "features": features,
        "metadata": LayerMark(LayerKind.ANNOTATIONS, "x").metadata,
    }


INNER = np.array([[15, 25], [15, 35], [25, 35], [25, 25]], dtype=float)


@pytest.mark.parametrize(
    "drawn",
    [annotated(["tumour", "Ignore*"]), annotated(["tumour", "tumour"], (False, True))],
    ids=["what is ignored", "a hole"],
)
def test_what_is_ignored_and_holes_are_cut_out(viewer, drawn):
    viewer.add_shapes([RECTANGLE, INNER], **drawn)
    region = drawn_region(viewer, viewer.layers["slide"])
    assert region.area == pytest.approx(40 * 40 - 20 * 20)


def test_annotations_of_another_slide_are_not_meant(viewer, tmp_path):
    path = write_pyramid_tiff(tmp_path / "slide.tif", noise_image(256, 256))
    slide = open_slide(path)
    viewer.layers["slide"].metadata[SLIDE_KEY] = slide
    viewer.add_shapes([RECTANGLE, INNER], **annotated(["tumour", "tumour"]))
    with pytest.raises(RegionError, match="No area is drawn"):
        drawn_region(viewer, viewer.layers["slide"])
    mark = LayerMark(LayerKind.ANNOTATIONS, slide.quick_hash)
    viewer.layers[-1].metadata.update(mark.metadata)
    assert drawn_region(viewer, viewer.layers["slide"]).area == pytest.approx(1600)
