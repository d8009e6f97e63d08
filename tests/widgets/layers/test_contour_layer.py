"""Outlines of where a class is probable, and how wide they are on the screen."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Shapes

from napari_smse.scoring import MapName, ScoreMaps, TileScores
from napari_smse.slides import open_slide
from napari_smse.tiles import Ground, TissueMask, plan_tiles
from napari_smse.widgets.layers.contour_layer import ContourLayer, contour_lines
from napari_smse.widgets.layers.heat_map_layers import HeatMapLayers
from napari_smse.widgets.layers.screen_width import ScreenWidth
from support.slides import write_pyramid_tiff

MALIGNANT = MapName("malignant", "20x")


def ends(lines):
    return lines[:, 0], lines[:, 0] + lines[:, 1]


def test_a_square_is_outlined_once_around():
    values = np.zeros((10, 12), np.float32)
    values[3:6, 4:9] = 1
    start, end = ends(contour_lines(values, 0.5))
    for points in (start, end):
        assert points[:, 0].min() == pytest.approx(2.5)
        assert points[:, 0].max() == pytest.approx(5.5)
        assert points[:, 1].min() == pytest.approx(3.5)
        assert points[:, 1].max() == pytest.approx(8.5)
    # The pieces follow one another, and the last leads back to the first.
    np.testing.assert_allclose(end[:-1], start[1:], atol=1e-5)
    np.testing.assert_allclose(end[-1], start[0], atol=1e-5)


def test_what_lies_at_the_edge_or_beside_tissue_is_closed_too():
    values = np.full((4, 6), np.nan, np.float32)
    values[:2, :3] = 0.9
    start, end = ends(contour_lines(values, 0.5))
    np.testing.assert_allclose(end[-1], start[0], atol=1e-5)
    assert (start >= -1).all()


def test_where_nothing_is_probable_there_is_no_line():
    assert contour_lines(np.full((4, 4), 0.2, np.float32), 0.5).shape == (0, 2, 2)


@pytest.fixture
def page(tmp_path):
    path = write_pyramid_tiff(tmp_path / "slide.tif", np.full((512, 512, 3), 200, np.uint8), 0.25)
    viewer = ViewerModel()
    with open_slide(path) as slide:
        layer = viewer.add_image(np.zeros((512, 512)), scale=(0.25, 0.25), units=("um", "um"))
        everywhere = TissueMask(np.full((8, 8), Ground.TISSUE, np.uint8), slide.bounds)
        plan = plan_tiles(slide, [0.5], tile_px=64, mask=everywhere)
        maps = ScoreMaps(plan, ("benign", "malignant"), [0])
        malignant = (plan.scales[0].columns >= 2).astype(np.float32)
        index = np.arange(len(malignant))
        maps.add([TileScores(0, index, np.column_stack([1 - malignant, malignant]))])
        laid = HeatMapLayers(viewer, layer, slide, maps)
        while laid.add_next():
            pass
        yield viewer, layer, slide, laid


def test_contours_lie_on_the_slide_where_the_class_begins(qapp, page):
    viewer, layer, slide, laid = page
    contours = ContourLayer(viewer)
    drawn = contours.show(layer, slide, laid, MALIGNANT, 0.5)
    corners = np.array([drawn.data_to_world(one) for one in drawn.data[:, 0]])
    # Columns 0 and 1 are benign, tiles are 32 um wide, and a smooth map is 0.5 on the border.
    assert corners[:, 1].min() == pytest.approx(64, abs=8)
    assert corners[:, 1].max() == pytest.approx(128, abs=8)
    # Another threshold, the same layer.
    assert contours.show(layer, slide, laid, MALIGNANT, 0.9) is drawn
    later = np.array([drawn.data_to_world(one) for one in drawn.data[:, 0]])
    assert later[:, 1].min() > corners[:, 1].min()
    contours.hide(slide)
    assert drawn not in viewer.layers
    contours.hide(slide)


def test_lines_are_as_wide_on_the_screen_at_any_zoom(qapp, page):
    viewer, layer, slide, laid = page
    contours = ContourLayer(viewer)
    drawn = contours.show(layer, slide, laid, MALIGNANT, 0.5)
    camera = viewer.scene.camera
    on_screen = []
    for zoom in (0.5, 1.0, 8.0):
        camera.zoom = zoom
        contours._width.apply()
        on_screen.append(drawn.edge_width * drawn.scale[-1] * zoom)
    np.testing.assert_allclose(on_screen, 2.0)
    contours.release()
    before = drawn.edge_width
    camera.zoom = 0.1
    assert drawn.edge_width == before


def test_shapes_keep_their_width_too_and_new_ones_get_it(qapp):
    viewer = ViewerModel()
    viewer.add_layer(Image(np.zeros((100, 100))))
    shapes = viewer.add_layer(Shapes(scale=(0.5, 0.5)))
    shapes.add_rectangles([[0, 0], [10, 10]])
    width = ScreenWidth(viewer, shapes, 3.0)
    viewer.scene.camera.zoom = 4.0
    width.apply()
    assert shapes.edge_width == [pytest.approx(1.5)]
    shapes.add_rectangles([[20, 20], [30, 30]])
    assert shapes.edge_width == [pytest.approx(1.5)] * 2
    width.release()
