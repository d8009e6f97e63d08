import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from napari.components import ViewerModel

from napari_smse.scoring import HeatMap
from napari_smse.widgets.layers.similarity_layer import SimilarityLayer
from napari_smse.widgets.slide_layers import (
    LayerKind,
    LayerMark,
)

MPP = 0.5


class AnySlide:
    name, quick_hash = "slide", "q"


@pytest.fixture
def viewer():
    made = ViewerModel()
    made.add_image(
        np.zeros((100, 200, 3), np.uint8), scale=(MPP, MPP), translate=(3, 4), name="slide"
    )
    return made


def shown(viewer):
    return SimilarityLayer(viewer, viewer.layers["slide"], AnySlide())


def alpha(layer):
    return layer.colormap.map(layer.data.ravel())[:, 3].reshape(layer.data.shape)


def a_map(*distances, x=0.0, y=0.0, cell=10.0):
    return HeatMap(np.array([distances], np.float32), x, y, cell)


@given(
    st.lists(st.floats(0, 2, width=32), min_size=1, max_size=8), st.floats(0, 1), st.floats(0.05, 2)
)
def test_what_lies_within_the_radius_is_coloured_and_nothing_else(far, share, least):
    viewer = ViewerModel()
    viewer.add_image(np.zeros((100, 200, 3), np.uint8), name="slide")
    reach = max([*far, least])
    maps = shown(viewer)
    maps.show(a_map(*far), reach)
    radius = share * reach
    maps.show_radius(radius, reach)
    hit = alpha(maps.layer)[0] > 0.5
    distances = np.array(far)
    # The colours have a thousand steps.
    sure = np.abs(distances - radius) > 0.002 * reach
    np.testing.assert_array_equal(hit[sure], (distances <= radius)[sure])


def test_what_is_not_meant_and_what_is_no_tissue_are_not_coloured(viewer):
    maps = shown(viewer)
    maps.show(a_map(0.0, 1.0, np.inf, np.nan), 1.0)
    maps.show_radius(1.0, 1.0)
    assert maps.layer.data[0, :3].tolist() == pytest.approx([1, 0.05, 0])
    assert np.isnan(maps.layer.data[0, 3])
    assert alpha(maps.layer)[0, :3].tolist() == pytest.approx([0.6, 0.6, 0])


def test_a_cell_lies_where_its_tile_does(viewer):
    maps = shown(viewer)
    maps.show(a_map(0.0, 0.5, x=30.0, y=20.0), 1.0)
    # Level-0 px 30 to 40: their middle is at data coordinate 34.5 of the slide.
    assert maps.layer.data_to_world((0, 0)) == pytest.approx((3 + 24.5 * MPP, 4 + 34.5 * MPP))
    assert tuple(maps.layer.scale) == (10 * MPP, 10 * MPP)
    before = maps.layer
    maps.show(a_map(0.0, 0.5, 0.7, x=60.0, y=20.0, cell=5.0), 1.0)
    assert maps.layer is before
    assert maps.layer.data.shape == (1, 3)
    assert maps.layer.data_to_world((0, 0)) == pytest.approx((3 + 22 * MPP, 4 + 62 * MPP))


@pytest.mark.parametrize(
    "kind", [LayerKind.HEAT_MAP, LayerKind.EXPORTED_MAP, LayerKind.OTHER_SCORES]
)
def test_it_takes_the_place_of_the_map_that_is_seen(viewer, kind):
    for name, visible in (("seen", True), ("hidden", False)):
        viewer.add_image(
            np.zeros((3, 3)),
            name=name,
            visible=visible,
            metadata=LayerMark(kind, "q").metadata,
        )
    viewer.add_image(np.zeros((3, 3)), name="other", metadata=LayerMark(kind, "another").metadata)
    maps = shown(viewer)
    maps.show(a_map(0.0), 1.0)
    assert [one.name for one in viewer.layers if one.visible] == [
        "slide",
        "Similar · slide",
        "other",
    ]
    maps.hide()
    assert [one.name for one in viewer.layers if one.visible] == ["slide", "seen", "other"]
    maps.hide()
