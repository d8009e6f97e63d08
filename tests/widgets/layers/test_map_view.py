"""What goes with the map that is seen."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_smse.reader import slide_layer
from napari_smse.scoring import MapName, ScoreMaps
from napari_smse.scoring.calls import CallRule
from napari_smse.slides import open_slide
from napari_smse.tiles import Ground, TissueMask, plan_tiles
from napari_smse.widgets.layers.heat_map_layers import HeatMapLayers
from napari_smse.widgets.layers.map_view import HIDE_KEY, PALE, MapView
from support.slides import write_pyramid_tiff

CLASSES = ("benign", "malignant")
PINK = (230, 90, 150)


class Page:
    """A viewer with a slide and its maps."""

    def __init__(self, path):
        self.viewer, self.slide = ViewerModel(), open_slide(path)
        data, arguments, _ = slide_layer(self.slide)
        self.layer = self.viewer.add_image(data, **arguments)
        self.view = MapView(self.viewer)

    def lay(self, by="smse 1", rule=None):
        everywhere = TissueMask(np.full((9, 9), Ground.TISSUE, np.uint8), self.slide.bounds)
        plan = plan_tiles(self.slide, [0.5, 1.0], tile_px=64, mask=everywhere)
        maps = ScoreMaps(plan, CLASSES, [0, 1])
        laid = HeatMapLayers(self.viewer, self.layer, self.slide, maps, None, by, rule)
        while laid.add_next():
            pass
        laid.show_only(MapName("malignant", "20x"))
        return laid

    @property
    def text(self):
        overlay = self.viewer.canvas.overlays.text
        return overlay.text if overlay.visible else ""

    @property
    def colour(self):
        """Saturation of what the canvas is given."""
        pixel = np.asarray(self.layer.data[0][5, 5]).astype(int)
        return int(pixel.max() - pixel.min())


def bound(viewer):
    """What the key does in a viewer."""
    return next((do for key, do in viewer.keymap.items() if str(key) == HIDE_KEY), None)


@pytest.fixture
def page(tmp_path):
    path = write_pyramid_tiff(tmp_path / "slide.tif", np.full((600, 600, 3), PINK, np.uint8), 0.25)
    made = Page(path)
    yield made
    made.view.release()
    made.slide.close()


def test_the_map_that_is_seen_is_named_with_its_model_and_what_is_grey(page):
    assert page.text == ""
    laid = page.lay(rule=CallRule(CLASSES, (0.2, 0.7)))
    assert page.text == ("P(malignant) 20x\nby smse 1\ngrey: indeterminate (0.20 to 0.70)")
    laid.show_only(MapName("malignant", "10x"))
    assert page.text.startswith("P(malignant) 10x\nby smse 1")
    for layer in laid.layers.values():
        layer.visible = False
    assert page.text == ""


def test_only_the_map_that_is_seen_has_a_colour_bar(page):
    laid = page.lay()
    laid.show_only(MapName("malignant", "10x"))
    bars = {name.scale: layer.colorbar.visible for name, layer in laid.layers.items()}
    assert bars == {"20x": False, "10x": True, "multi-scale mean": False}


def test_tissue_is_grey_under_a_map_and_pink_without(page):
    full = page.colour
    assert full > 100
    laid = page.lay()
    assert page.colour < full * PALE + 5
    page.view.pale = False
    assert page.colour == full
    page.view.pale = True
    for layer in laid.layers.values():
        layer.visible = False
    assert page.colour == full


def test_the_coarsest_level_which_napari_keeps_is_grey_too(page):
    def colour():
        pixel = page.layer.thumbnail[16, 16, :3].astype(int)
        return int(pixel.max() - pixel.min())

    full = colour()
    assert full > 100
    page.lay()
    assert colour() < full * PALE + 5
    page.view.pale = False
    assert colour() == full


def test_the_slide_itself_is_read_as_it_is_under_a_map(page):
    page.lay()
    box = page.layer.data[0].read_box(0, 0, 4, 4)
    assert int(box.max()) - int(box.min()) > 100


def test_holding_a_key_hides_what_lies_on_the_slide_and_letting_go_brings_it_back(page):
    laid = page.lay()
    full = page.colour
    held = bound(page.viewer)(page.viewer)
    next(held)
    assert not any(layer.visible for layer in laid.layers.values())
    assert page.layer.visible
    assert page.text == ""
    assert page.colour > full
    next(held, None)
    assert laid.shown == MapName("malignant", "20x")
    assert [layer.visible for layer in laid.layers.values()].count(True) == 1


def test_leaving_gives_back_key_colour_and_canvas(page):
    page.lay()
    page.view.release()
    assert page.text == ""
    assert page.colour > 100
    assert bound(page.viewer) is None


def test_two_classes_have_one_map_a_scale(page):
    laid = page.lay()
    assert [str(name) for name in laid.maps] == [
        "P(malignant) 20x",
        "P(malignant) 10x",
        "P(malignant) multi-scale mean",
    ]
