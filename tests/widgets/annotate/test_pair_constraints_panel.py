"""Tiles picked with the mouse, and links between them."""

import numpy as np
import pytest

from napari_smse.annotations import read_annotations
from napari_smse.widgets.autosave import Autosave
from napari_smse.widgets.layers.pair_constraint_layer import WIDTH_PX
from napari_smse.widgets.layers.tile_picker import tile_at
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import (
    LayerKind,
    layers_of_kind,
)
from support.annotated_slides import write_red_slide

pytestmark = pytest.mark.gui


@pytest.fixture
def links(docks):
    docks.run_score()
    docks.draw_both()
    return docks.annotate.links


def world_of(layer, x, y):
    return tuple((np.array([y, x]) - 0.5) * layer.scale[-2:] + layer.translate[-2:])


def click(docks, x, y):
    """Click where a level-0 point lies on the canvas."""
    layer = docks.annotate.slides.currentData()
    qt = docks.viewer.window._qt_viewer
    camera, size = docks.viewer.scene.camera, np.array(docks.viewer.canvas.size)
    off = (np.array(world_of(layer, x, y)) - camera.center[-2:]) * camera.zoom
    row, column = size / 2 + off
    canvas = qt.canvas._scene_canvas
    for kind in ("mouse_press", "mouse_release"):
        getattr(canvas.events, kind)(
            pos=(column, row), button=1, buttons=[1], modifiers=(), last_event=None
        )


def link_lines(docks):
    return layers_of_kind(docks.viewer, LayerKind.PAIR_CONSTRAINTS)


def test_two_clicks_make_a_link_that_is_drawn_listed_saved_and_learnt(
    docks, links, tmp_path, until
):
    assert not links.alike.isEnabled()
    links.pick.click()
    shapes = len(docks.annotate.drawing.layer.data)
    # Outside all regions, so that neither can be held out.
    click(docks, 100, 400)
    click(docks, 100, 400)
    assert len(links.chosen) == 1
    click(docks, 700, 400)
    first, second = (one.region for one in links.chosen)
    assert (first.x, first.y) == (64, 384)
    assert (second.x, second.y) == (640, 384)
    # Picking draws nothing.
    assert len(docks.annotate.drawing.layer.data) == shapes
    links.differ.click()
    assert links.list.count() == 1
    assert links.list.item(0).text() == "differ: (64, 384) and (640, 384)"
    (line,) = link_lines(docks)
    np.testing.assert_allclose(line.data[0], [world_at(416, 96), world_at(416, 672)])
    camera = docks.viewer.scene.camera
    camera.zoom *= 4
    until(lambda: np.isclose(line.edge_width[0] * camera.zoom, WIDTH_PX))
    docks.annotate.save_to(tmp_path / "a.geojson")
    (saved,) = read_annotations(tmp_path / "a.geojson").constraints
    assert not saved.must_link
    docks.finetune()
    assert docks.tune.result.tuned.constraints_satisfied[2] == 1
    assert "Of 1 links" in docks.tune.outcome.figures.note.text()
    links.list.setCurrentRow(0)
    links.remove.click()
    assert links.list.count() == 0
    assert link_lines(docks) == []
    docks.annotate.import_from(tmp_path / "a.geojson")
    assert links.list.count() == 1


def world_at(y, x):
    return (np.array([y, x]) - 0.5) * 0.5


def test_links_survive_a_crash(docks, links, until):
    links.pick.click()
    click(docks, 100, 100)
    click(docks, 700, 100)
    links.alike.click()
    docks.annotate.files.save_now()
    again = Autosave(docks.annotate.slide)
    assert again.left_behind.constraints == docks.annotate.drawing.annotations().constraints
    assert len(again.left_behind.constraints) == 1


def test_dragging_picks_nothing_and_glass_is_told(docks, links, monkeypatch):
    told = []
    links.problem.connect(told.append)
    links.pick.click()
    click(docks, 1400, 700)
    assert "no scored tile" in told[-1]
    links.pick.click()
    click(docks, 100, 100)
    assert links.chosen == []


def test_the_nearest_tile_of_the_finest_scale_is_picked(docks, links):
    layer = docks.annotate.slides.currentData()
    run = session_of(docks.viewer).run_of(layer)
    found = tile_at(layer, run, world_of(layer, 70.0, 130.0))
    assert (found.region.x, found.region.y, found.mpp) == (64, 128, 0.5)
    assert tile_at(layer, run, world_of(layer, 1500.0, 10.0)) is None


def test_another_slide_shows_its_own_links(docks, links, tmp_path, until):
    links.pick.click()
    click(docks, 100, 100)
    click(docks, 700, 100)
    links.alike.click()
    docks.viewer.open(write_red_slide(tmp_path, "second", 1), plugin="napari-smse")
    slides = docks.annotate.slides
    slides.setCurrentIndex(slides.findText("second"))
    assert links.list.count() == 0
    slides.setCurrentIndex(slides.findText("slide"))
    assert links.list.count() == 1
    assert links.pick.isEnabled()
    assert docks.annotate.recovery.isHidden()
