"""Two slides in one viewer: every dock answers for the one in view, and Save writes it."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from napari.layers import Image

from napari_smse.slides import Slide
from napari_smse.widgets.evidence.dock import EvidenceDock
from napari_smse.widgets.layers.tile_marker import marked
from napari_smse.widgets.slide_layers import (
    LayerKind,
    is_of_kind,
    layers_of_kind,
    mark_of,
    slide_layers,
    slide_of,
)
from support.annotated_slides import write_red_slide
from support.docks import Docks

pytestmark = pytest.mark.gui


@pytest.fixture
def evidence(docks):
    made = EvidenceDock(docks.viewer)
    docks.viewer.window.add_dock_widget(made)
    yield made
    made.close()


def open_second(docks, tmp_path):
    docks.viewer.open(write_red_slide(tmp_path, "second", 1), plugin="napari-smse")
    docks.until(lambda: "to score:" in docks.score.panel.count.text())


@pytest.fixture
def both(docks, evidence, tmp_path):
    """Both slides scored, the second one in view."""
    docks.run_score()
    open_second(docks, tmp_path)
    docks.run_score()
    docks.until(lambda: evidence.read is not None and evidence.read.slide.name == "second")
    return docks


def layer_of(docks, name):
    return next(one for one in slide_layers(docks.viewer) if one.name == name)


def choose(docks, evidence, name):
    docks.score.form.slide.setCurrentIndex(docks.score.form.slide.findText(name))
    docks.until(lambda: not evidence.reading.is_running)
    docks.until(lambda: not docks.score.counter.task.is_running)


def seen(docks):
    """Names of the slides that something is seen of."""
    hashes = {slide_of(one).quick_hash: one.name for one in slide_layers(docks.viewer)}
    lying = {
        hashes[mark.slide]
        for layer in docks.viewer.layers
        if layer.visible and (mark := mark_of(layer)) is not None and mark.slide
    }
    return lying | {one.name for one in slide_layers(docks.viewer) if one.visible}


def saved(docks, folder, name):
    docks.score.save_to(folder)
    docks.until(lambda: not docks.score.saver.task.is_running)
    return json.loads((folder / name / "run.json").read_text())


@pytest.mark.parametrize("name", ["slide", "second"])
def test_all_docks_show_the_chosen_slide(both, evidence, name):
    choose(both, evidence, "slide" if name == "second" else "second")
    choose(both, evidence, name)
    assert seen(both) == {name}
    for combo in (both.score.form.slide, both.annotate.slides, evidence.slides):
        assert combo.currentText() == name
    assert both.score.slide.name == name
    assert both.annotate.slide.name == name
    assert evidence.read.slide.name == name
    assert f"tile of {name} at" in both.score.live.cursor.describe((16.0, 16.0))


def test_a_slide_is_chosen_in_any_dock(both, evidence):
    for combo, name in ((both.annotate.slides, "slide"), (evidence.slides, "second")):
        combo.setCurrentIndex(combo.findText(name))
        assert both.score.form.slide.currentText() == name
        assert seen(both) == {name}


def test_save_writes_the_slide_in_view(both, evidence, tmp_path):
    choose(both, evidence, "slide")
    record = saved(both, tmp_path / "results", "slide")
    assert record["slide"]["quick_hash"] == slide_of(layer_of(both, "slide")).quick_hash
    assert not (tmp_path / "results" / "second").exists()


def test_the_table_is_of_the_slide_in_view_and_outlines_its_tiles(both, evidence):
    choose(both, evidence, "slide")
    run = both.score.shown_run
    table = both.score.table
    assert table.tiles.rowCount() == run.plan.tile_count
    table.selectRow(0)
    tile, layer = table.tiles.tile(0).region, layer_of(both, "slide")
    first, _ = marked(both.viewer)
    np.testing.assert_allclose(first, (np.array([tile.y, tile.x]) - 0.5) * layer.scale)
    choose(both, evidence, "second")
    # The outline lies on the other slide, and is hidden with it.
    assert not both.viewer.layers["Chosen tile"].visible


def test_maps_and_controls_are_of_the_slide_in_view(both, evidence):
    choose(both, evidence, "slide")
    both.score.controls.which.setCurrentIndex(0)
    (shown,) = (one for one in layers_of_kind(both.viewer, LayerKind.HEAT_MAP) if one.visible)
    assert shown.name == f"{both.score.controls.which.currentText()} by mini 1 · slide"
    choose(both, evidence, "second")
    assert both.score.controls.which.currentText() == "P(malignant) 20x"
    choose(both, evidence, "slide")
    # It is as it was left.
    assert shown.visible
    assert both.score.controls.which.currentIndex() == 0


def test_a_slide_without_scores_has_no_table_map_or_save(docks, evidence, tmp_path):
    docks.run_score()
    assert docks.score.save.isEnabled()
    open_second(docks, tmp_path)
    assert docks.score.table.tiles.rowCount() == 0
    assert docks.score.controls.which.count() == 0
    assert not docks.score.save.isEnabled()
    assert docks.score.live.cursor.describe((16.0, 16.0)) == ""
    assert "First score a slide" in evidence.state.text()


def test_a_run_goes_on_for_its_slide_while_another_is_in_view(docks, evidence, tmp_path, gate):
    docks.score.panel.run.click()
    docks.until(lambda: docks.score.shown_run is not None)
    first = docks.score.shown_run
    open_second(docks, tmp_path)
    gate.release(1000)
    docks.until(lambda: not docks.score.scoring.is_running)
    docks.until(lambda: not docks.score.live._adding.isActive())
    assert seen(docks) == {"second"}
    assert docks.score.table.tiles.rowCount() == 0
    assert docks.score.panel.state.text().startswith("slide: Done")
    choose(docks, evidence, "slide")
    assert docks.score.shown_run is first
    assert docks.score.table.tiles.rowCount() == first.plan.tile_count
    assert seen(docks) == {"slide"}


@pytest.fixture
def gate(monkeypatch):
    """Reads wait until they are let go."""
    import threading

    permits = threading.Semaphore(0)
    window = Slide.window

    def held_back(slide, region, mpp):
        assert permits.acquire(timeout=60)
        return window(slide, region, mpp)

    monkeypatch.setattr(Slide, "window", held_back)
    return permits


def test_another_um_px_takes_the_maps_away(docks):
    docks.run_score()
    docks.score.form.mpp.setValue(0.4)
    assert not any(is_of_kind(one, LayerKind.HEAT_MAP) for one in docks.viewer.layers)
    assert docks.score.table.tiles.rowCount() == 0
    assert not docks.score.save.isEnabled()


def test_a_dock_that_opens_later_shows_what_there_is(both, evidence):
    choose(both, evidence, "slide")
    both.score.close()
    later = Docks(both.viewer, both.until)
    assert later.score.form.slide.currentText() == "slide"
    assert later.score.table.tiles.rowCount() == later.score.shown_run.plan.tile_count
    assert later.score.save.isEnabled()
    for dock in later.all:
        dock.close()


def test_tables_saved_of_either_slide_are_its_own(both, evidence, tmp_path):
    found = {}
    for name in ("slide", "second"):
        choose(both, evidence, name)
        saved(both, tmp_path / "results", name)
        table = pq.read_table(tmp_path / "results" / name / "tiles.parquet")
        (shown,) = both.score.live.layers.maps.scores()
        np.testing.assert_array_equal(table["p_malignant"].to_numpy(), shown.probability[:, 1])
        found[name] = table["p_malignant"].to_numpy()
    assert not np.array_equal(found["slide"], found["second"])


def test_home_fits_the_slide_in_view_alone(both, evidence):
    """Not the slides that are hidden, which may be a hundred times larger."""
    hidden, shown = (layer_of(both, name) for name in ("slide", "second"))
    hidden.scale = 50 * np.asarray(hidden.scale)
    viewer = both.viewer
    # Of maps, napari counts half a cell beyond their edge.
    corner = Image(np.zeros((2, 2)), scale=hidden.scale[-2:] * 20, visible=False)
    viewer.add_layer(corner)
    viewer.scene.camera.zoom = 7.0
    viewer.reset_view()
    size = np.ptp(shown.extent.world, axis=0)[-2:]
    filled = viewer.scene.camera.zoom * size / np.asarray(viewer.canvas.size)
    assert filled.max() == pytest.approx(0.95, abs=0.02)
    middle = shown.extent.world.mean(axis=0)[-2:]
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], middle, rtol=0.01)
    # Whoever asks for a layer gets it.
    hidden.scale = np.asarray(hidden.scale) / 500
    viewer.reset_view(layers=[hidden])
    np.testing.assert_allclose(
        viewer.scene.camera.center[-2:], hidden.extent.world.mean(axis=0)[-2:], rtol=0.01
    )
