"""A click picks the tile there, and a drag moves the view, however fast it is."""

import pytest

from napari_smse.progress import run_task
from napari_smse.widgets.layers.tile_picker import TilePicker
from napari_smse.widgets.slide_layers import slide_of
from napari_smse.workflows.score_slide import ScoreJob
from napari_smse.workflows.settings.score import ScoreSettings
from support.canvas import click, drag
from support.docks import put_in_force

pytestmark = pytest.mark.gui


@pytest.fixture
def slide_layer(viewer, redness, slide_path, settle):
    (layer,) = viewer.open(slide_path, plugin="napari-smse")
    job = ScoreJob(slide_of(layer), "bundled", ScoreSettings((0.5,), device="cpu"))
    put_in_force(layer, run_task(job.run()))
    viewer.reset_view()
    settle()
    return layer


@pytest.fixture
def picked(viewer, slide_layer):
    """The tiles that were picked."""
    picker, tiles = TilePicker(viewer), []
    picker.picked.connect(tiles.append)
    picker.set_on(True)
    yield tiles
    picker.set_on(False)


def test_a_click_picks_the_tile_there(viewer, slide_layer, picked):
    click(viewer, slide_layer, 300, 300)
    (tile,) = picked
    assert tile.region.x <= 300 < tile.region.right
    assert tile.region.y <= 300 < tile.region.bottom


@pytest.mark.parametrize("hastily", [False, True])
def test_a_drag_picks_none(viewer, slide_layer, picked, hastily):
    drag(viewer, slide_layer, [(300, 300), (301, 300), (600, 300)], hastily=hastily)
    assert not picked
