"""A marked tile must light up exactly where it lies."""

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_smse.reader import slide_layer
from napari_smse.scoring import MapName, ScoreMaps, ScoreRequest, choose_device, open_run, score
from napari_smse.slides import Region, open_slide
from napari_smse.tiles import Ground, ScaleTiles, TileGrid, TileSpec, TissueMask
from napari_smse.widgets.layers.heat_map_layers import HeatMapLayers
from napari_smse.widgets.slide_layers import level0_to_world, slide_of, world_to_level0
from support.models import redness_model
from support.slides import write_pyramid_tiff

PINK, RED = (205, 150, 190), (230, 90, 150)
MODEL = redness_model(tile_px=48)

CASES = [
    # width, height, slide um/px, target um/px, marked column and row, translation in um
    (1000, 800, 0.25, 0.25, 3, 2, (0, 0)),
    (1000, 800, 0.25, 0.5, 5, 4, (0, 0)),
    (1001, 797, 0.499, 0.5, 7, 9, (0, 0)),
    (1337, 911, 0.2273, 0.5, 4, 6, (0, 0)),
    (1337, 911, 0.2273, 0.5, 0, 0, (130.7, -55.1)),
    (643, 1021, 0.31, 0.47, 6, 3, (-3.3, 0.4)),
]


def marked_slide(path, width, height, mpp, region):
    rgb = np.full((height, width, 3), PINK, np.uint8)
    rgb[region.y : region.y + region.height, region.x : region.x + region.width] = RED
    write_pyramid_tiff(path, rgb, mpp=mpp)
    return open_slide(path)


def tile_of(grid, column, row):
    index = np.array([column]), np.array([row]), np.ones(1, dtype=np.float32)
    return ScaleTiles(grid, *index).region(0)


def scored_layers(slide, layer, viewer, request, tmp_path):
    device = choose_device("cpu")
    everywhere = TissueMask(np.full((9, 9), Ground.TISSUE, np.uint8), slide.bounds)
    plan = request.plan(slide, MODEL.card, everywhere)
    store = open_run(tmp_path / "scores.zarr", slide, MODEL.card, request, plan, device)
    layers = HeatMapLayers(viewer, layer, slide, ScoreMaps(plan, MODEL.card.classes, [0]))
    while layers.add_next():
        pass
    for progress in score(slide, MODEL, plan, store, device):
        layers.maps.add(progress.scores)
    layers.mark_stale()
    layers.refresh(hidden=True)
    return layers


@pytest.mark.parametrize(
    ("width", "height", "slide_mpp", "mpp", "column", "row", "translate"), CASES
)
def test_the_marked_tile_lights_up_in_its_place(
    tmp_path, width, height, slide_mpp, mpp, column, row, translate
):
    grid = TileGrid(TileSpec(48, mpp, slide_mpp), Region(0, 0, width, height))
    marked = tile_of(grid, column, row)
    slide = marked_slide(tmp_path / "slide.tif", width, height, slide_mpp, marked)
    viewer = ViewerModel()
    data, arguments, _ = slide_layer(slide)
    layer = viewer.add_image(data, **arguments, translate=translate)
    layers = scored_layers(slide, layer, viewer, ScoreRequest((mpp,)), tmp_path)
    name = MapName("malignant", layers.maps.scale_names[0])
    shown = layers.layers[name]

    cell = np.unravel_index(np.nanargmax(shown.data), shown.data.shape)
    assert cell == (row, column)
    lit = [shown.data_to_world(np.array(cell) + side) for side in (-0.5, 0.5)]
    corners = np.array([[marked.y, marked.x], [marked.y + marked.height, marked.x + marked.width]])
    expected = [layer.data_to_world(corner - 0.5) for corner in corners]
    half_a_pixel = slide.mpp / 2
    np.testing.assert_allclose(lit, expected, atol=half_a_pixel)
    # Every other tile is pink: none is lit as much.
    others = np.delete(shown.data.ravel(), row * shown.data.shape[1] + column)
    assert np.nanmax(others) < shown.data[cell] - 0.02


def test_level0_and_world_are_each_others_inverse(tmp_path):
    slide = marked_slide(tmp_path / "slide.tif", 300, 200, 0.31, Region(0, 0, 1, 1))
    viewer = ViewerModel()
    data, arguments, _ = slide_layer(slide)
    layer = viewer.add_image(data, **arguments, translate=(12.5, -7))
    points = np.array([[0, 0], [10.25, 99.5], [300, 200]])
    np.testing.assert_allclose(
        world_to_level0(layer, level0_to_world(layer, points)), points, atol=1e-9
    )
    # napari draws pixel 0 around its centre: the slide's corner lies half a pixel before it.
    corner = layer.data_to_world(np.array([-0.5, -0.5]))
    np.testing.assert_allclose(level0_to_world(layer, np.array([[0, 0]]))[0], corner)
    assert slide_of(layer) is slide


@pytest.mark.gui
def test_the_canvas_shows_the_marked_tile_where_the_slide_shows_it(make_napari_viewer, tmp_path):
    """Judged by the pixels on the screen: mark on the slide and cell of the map coincide."""
    grid = TileGrid(TileSpec(48, 0.5, 0.2273), Region(0, 0, 1337, 911))
    marked = tile_of(grid, 4, 3)
    slide = marked_slide(tmp_path / "slide.tif", 1337, 911, 0.2273, marked)
    viewer = make_napari_viewer(show=True)
    data, arguments, _ = slide_layer(slide)
    layer = viewer.add_image(data, **arguments)
    layers = scored_layers(slide, layer, viewer, ScoreRequest((0.5,)), tmp_path)
    name = MapName("malignant", layers.maps.scale_names[0])
    viewer.reset_view()
    for other in layers.layers.values():
        other.visible = False
    slide_box = box_of(viewer, lambda rgb: rgb[..., 1] < 120)
    layer.visible = False
    shown = layers.layers[name]
    shown.visible = True
    shown.colorbar.visible = False
    shown.opacity = 1
    top = float(np.nanmax(shown.data))
    shown.contrast_limits = (top - 0.02, top - 0.01)
    shown.colormap = "gray"
    map_box = box_of(viewer, lambda rgb: rgb[..., 1] > 200)
    np.testing.assert_allclose(map_box, slide_box, atol=2)


def box_of(viewer, colour):
    """Rows and columns of the canvas that show a colour, first and last."""
    rgb = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
    inside = colour(rgb) & (rgb.max(axis=2) > 60)
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return rows[0], rows[-1], columns[0], columns[-1]
