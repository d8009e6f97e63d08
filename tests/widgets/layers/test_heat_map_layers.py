"""Map layers when one model's maps take the place of another's."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_smse.scoring import MULTI_SCALE_MEAN, MapName, ScoreMaps, TileScores
from napari_smse.scoring.calls import CallRule
from napari_smse.slides import Region, open_slide
from napari_smse.tiles import Ground, ScaleTiles, TileGrid, TilePlan, TileSpec, TissueMask
from napari_smse.widgets.layers.heat_map_layers import HeatMapLayers, shown_map
from napari_smse.widgets.slide_layers import (
    LayerKind,
    layers_of_kind,
)
from support.slides import write_pyramid_tiff

AREA = Region(0, 0, 400, 200)


@pytest.fixture
def slide(tmp_path):
    path = tmp_path / "slide.tif"
    write_pyramid_tiff(path, np.full((200, 400, 3), 200, np.uint8), mpp=0.25)
    with open_slide(path) as opened:
        yield opened


class Page:
    """A viewer with a slide, on which maps are laid."""

    def __init__(self, slide):
        self.viewer, self.slide = ViewerModel(), slide
        self.layer = Image(np.zeros((200, 400)), scale=(0.25, 0.25), units=("um", "um"))
        self.viewer.add_layer(self.layer)

    def lay(self, maps, colours=None):
        laid = HeatMapLayers(self.viewer, self.layer, self.slide, maps, colours)
        while laid.add_next():
            pass
        return laid

    @property
    def maps(self):
        return layers_of_kind(self.viewer, LayerKind.HEAT_MAP)


@pytest.fixture
def page(slide):
    return Page(slide)


def maps_of(classes, values, *mpps, tile=50):
    """Maps in which every tile has these probabilities."""
    scales, scores = [], []
    for number, mpp in enumerate(mpps or (0.5,)):
        grid = TileGrid(TileSpec(tile, mpp, 0.25), AREA)
        rows, columns = (i.ravel().astype(np.int32) for i in np.mgrid[: grid.rows, : grid.columns])
        scales.append(ScaleTiles(grid, columns, rows, np.ones(len(rows), np.float32)))
        probability = np.tile(np.float32(values), (len(rows), 1))
        scores.append(TileScores(number, np.arange(len(rows)), probability))
    mask = TissueMask(np.full((2, 4), Ground.TISSUE, np.uint8), AREA)
    made = ScoreMaps(TilePlan(tuple(scales), (), mask), classes, range(len(scales)))
    made.add(scores)
    return made


def test_the_last_class_is_shown_if_none_is_malignant(page):
    laid = page.lay(maps_of(("stroma", "tumour", "necrosis"), (0.2, 0.3, 0.5), 0.25, 0.5))
    assert laid.shown == MapName("necrosis", MULTI_SCALE_MEAN)


def test_each_class_has_a_colour_of_its_own_or_the_models(page):
    maps = maps_of(("stroma", "tumour", "necrosis"), (0.2, 0.3, 0.5))
    page.lay(maps, {"tumour": (10, 20, 30)})
    ends = {shown_map(layer).class_name: layer.colormap.colors[-1] for layer in page.maps}
    assert ends["tumour"][:3] == pytest.approx([10 / 255, 20 / 255, 30 / 255])
    assert len({tuple(end) for end in ends.values()}) == 3


def test_another_models_maps_take_the_place_of_the_old_ones(page):
    old = page.lay(maps_of(("benign", "malignant", "stroma"), (0.8, 0.1, 0.1)))
    new = page.lay(maps_of(("benign", "tumour", "fat"), (0.2, 0.1, 0.7), tile=25))
    assert {shown_map(layer).class_name for layer in page.maps} == {
        "benign",
        "tumour",
        "fat",
    }
    # Benign has a layer already, but the class shown first is another.
    assert [layer.name for layer in page.maps if layer.visible] == ["P(fat) 20x · slide"]
    new.show_only(MapName("benign", "20x"))
    assert new.layers[MapName("benign", "20x")] is old.layers[MapName("benign", "20x")]
    np.testing.assert_allclose(np.unique(new.layers[MapName("benign", "20x")].data), 0.2)


def test_maps_that_were_never_looked_at_do_not_come_back(page):
    """They wait for being looked at, but by then the layer shows another model's."""
    old = page.lay(maps_of(("benign", "malignant", "fat"), (0.8, 0.1, 0.1)))
    old.mark_stale()
    new = page.lay(maps_of(("benign", "malignant", "fat"), (0.2, 0.7, 0.1)))
    benign = new.layers[MapName("benign", "20x")]
    benign.visible = True
    np.testing.assert_allclose(np.unique(benign.data), 0.2)
    old.mark_stale()
    old.refresh(hidden=True)
    np.testing.assert_allclose(np.unique(benign.data), 0.2)


def test_a_copy_of_a_map_that_the_user_made_is_no_hindrance(page):
    page.lay(maps_of(("benign", "malignant"), (0.9, 0.1)))
    page.viewer.add_layer(Image.create(*page.maps[0].as_layer_data_tuple()))
    page.lay(maps_of(("benign", "malignant"), (0.2, 0.8)))
    assert len(page.maps) == 1


def test_maps_of_two_slides_called_alike_are_named_anew(page):
    """napari numbers the second one's layers."""
    maps = maps_of(("benign", "malignant"), (0.2, 0.8))
    for name in maps:
        page.viewer.add_layer(Image(np.zeros((2, 2)), name=f"{name} · slide"))
    laid = page.lay(maps)
    assert [layer.name for layer in page.maps] == ["P(malignant) 20x · slide [1]"]
    laid.name_by("prototypes")
    assert all("by prototypes" in layer.name for layer in page.maps)
    page.lay(maps)
    assert not any("by prototypes" in layer.name for layer in page.maps)


def test_names_say_what_maps_are_by_and_what_the_user_called_them_stays(page):
    maps = maps_of(("benign", "malignant", "fat"), (0.2, 0.7, 0.1))
    first = page.lay(maps)
    first.name_by("prototypes")
    names = {layer.name for layer in page.maps}
    assert names == {f"P({name}) 20x by prototypes · slide" for name in maps.classes}
    (mine,) = (one for one in page.maps if shown_map(one).class_name == "benign")
    mine.name = "for the meeting"
    page.lay(maps)
    assert {layer.name for layer in page.maps} == {
        "for the meeting", "P(malignant) 20x · slide", "P(fat) 20x · slide"
    }  # fmt: skip


def test_the_names_of_layers_name_the_model(page):
    maps = maps_of(("benign", "malignant"), (0.2, 0.8))
    HeatMapLayers(page.viewer, page.layer, page.slide, maps, by="smse 1").add_next()
    assert [layer.name for layer in page.maps] == ["P(malignant) 20x by smse 1 · slide"]


def test_what_the_model_leaves_undecided_is_grey(page):
    maps = maps_of(("benign", "malignant"), (0.2, 0.8))
    rule = CallRule(maps.classes, (0.3, 0.7))
    HeatMapLayers(page.viewer, page.layer, page.slide, maps, rule=rule).add_next()
    (layer,) = page.maps
    benign, grey, malignant = layer.colormap.map(np.array([0.2, 0.5, 0.8]))
    assert np.ptp(grey[:3]) < 0.01
    assert benign[2] > benign[0] + 0.2
    assert malignant[0] > malignant[2] + 0.2


def test_smooth_maps_are_drawn_anew_at_once(page):
    maps = maps_of(("benign", "malignant"), (0.2, 0.8))
    maps.add([TileScores(0, np.array([0]), np.array([[1.0, 0.0]], np.float32))])
    laid = page.lay(maps)
    steps = np.unique(laid.layers[laid.shown].data)
    laid.smooth = True
    assert len(np.unique(laid.layers[laid.shown].data)) >= len(steps)
    laid.smooth = False
    np.testing.assert_array_equal(np.unique(laid.layers[laid.shown].data), steps)
