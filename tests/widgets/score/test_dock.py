import json
import threading
from dataclasses import replace

import numpy as np
import pytest
from napari.layers import Layer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QDialogButtonBox

from napari_smse.errors import DamagedSlideError
from napari_smse.reader import read_slides
from napari_smse.results.exchange import TARGETS
from napari_smse.scoring import MapName
from napari_smse.slides import Slide
from napari_smse.widgets.layers.tile_marker import MARKER_NAME, marked
from napari_smse.widgets.score import result_saver
from napari_smse.widgets.score.dock import ScoreDock
from napari_smse.widgets.score.export_dialog import ExportDialog
from napari_smse.widgets.score.form import ScoreForm
from napari_smse.widgets.slide_layers import (
    LayerKind,
    layers_of_kind,
)
from support.slides import write_pyramid_tiff

pytestmark = pytest.mark.gui


@pytest.fixture
def dock(viewer, redness, slide_path, until):
    """The dock in a viewer that shows the slide, its tiles counted."""
    viewer.open(slide_path, plugin="napari-smse")
    made = ScoreDock(viewer)
    viewer.window.add_dock_widget(made, name="SMSE: Score slide")
    until(lambda: "to score:" in made.panel.count.text())
    yield made
    made.close()


def tick(dock, *mpps):
    """Tick these scales and no other."""
    for row in range(dock.form.scales.count()):
        item = dock.form.scales.item(row)
        ticked = item.data(Qt.ItemDataRole.UserRole) in mpps
        item.setCheckState(Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)


def run_to_end(dock, until):
    dock.panel.run.click()
    until(lambda: not dock.scoring.is_running)


def map_layers(viewer):
    return layers_of_kind(viewer, LayerKind.HEAT_MAP)


def test_the_plugin_menu_opens_the_dock(viewer):
    _, dock = viewer.window.add_plugin_dock_widget("napari-smse", "SMSE: Score slide")
    assert isinstance(dock, ScoreDock)
    assert not dock.panel.run.isEnabled()
    assert "File > Open" in dock.form.facts.text()
    dock.close()


def test_the_slide_and_its_scale_are_shown(dock):
    assert dock.form.slide.currentText() == "slide"
    assert dock.form.mpp.value() == 0.25
    assert "TIFF resolution" in dock.form.source.text()
    assert "1,300 x 1,100 px" in dock.form.facts.text()


def test_scales_that_the_model_never_saw_are_marked(dock):
    texts = [dock.form.scales.item(row).text() for row in range(dock.form.scales.count())]
    assert texts == [
        "40x, 0.25 µm/px",
        "20x, 0.5 µm/px",
        "10x, 1 µm/px, outside the model's range",
        "5x, 2 µm/px, outside the model's range",
    ]


def test_run_fills_a_map_per_scale_and_a_multi_scale_mean(dock, viewer, until):
    tick(dock, 0.25, 0.5)
    run_to_end(dock, until)
    until(lambda: len(map_layers(viewer)) == 3)
    names = {layer.name for layer in map_layers(viewer)}
    assert names == {
        f"P(malignant) {scale} by redness 1 · slide" for scale in ("40x", "20x", "multi-scale mean")
    }
    assert [layer.name for layer in map_layers(viewer) if layer.visible] == [
        "P(malignant) multi-scale mean by redness 1 · slide"
    ]
    for layer in map_layers(viewer):
        assert np.isfinite(layer.data).any()
        assert tuple(layer.contrast_limits) == (0, 1)
        assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]
    assert dock.panel.state.text().startswith("Done: ")
    assert "CPU" in dock.panel.state.text()
    assert viewer.canvas.overlays.scale_bar.visible


@pytest.mark.shown
def test_maps_fill_in_while_running(dock, viewer, until, gate):
    gate.let(2)
    dock.panel.run.click()
    until(lambda: dock.live.layers is not None and shown(viewer) > 0)
    assert dock.scoring.is_running
    assert dock.panel.bar.isVisible()
    # A pace is told after two seconds, not before.
    until(lambda: "left" in dock.panel.bar.text())
    assert "sets the pace" in dock.panel.bar.toolTip()
    first = shown(viewer)
    gate.let(1)
    until(lambda: shown(viewer) > first)
    assert dock.scoring.is_running
    second = shown(viewer)
    gate.open()
    until(lambda: not dock.scoring.is_running)
    assert shown(viewer) > second


def shown(viewer):
    (layer,) = [layer for layer in map_layers(viewer) if layer.visible]
    return int(np.isfinite(layer.data).sum())


class Gate:
    """Lets a given number of reads through, then holds them back until it is opened."""

    def __init__(self, monkeypatch):
        self.permits = threading.Semaphore(0)
        window = Slide.window

        def held_back(slide, region, mpp):
            assert self.permits.acquire(timeout=60)
            return window(slide, region, mpp)

        monkeypatch.setattr(Slide, "window", held_back)
        monkeypatch.setattr("napari_smse.tiles.plan.BLOCK_EDGE", 300)

    def let(self, reads):
        self.permits.release(reads)

    def open(self):
        self.let(1000)


@pytest.fixture
def gate(dock, monkeypatch):
    """Holds back the reads of runs, which have four blocks; open when the test ends."""
    dock.form.options.choose(overlap=0.75)
    made = Gate(monkeypatch)
    yield made
    made.open()


def largest_block(plan):
    return max(block.tile_count for block in plan.blocks)


def all_but_one_block(dock, until):
    """Wait until all that the gate lets through is scored, but for what fills no batch."""
    until(lambda: dock.shown_run is not None and dock._progress is not None)
    plan = dock.shown_run.plan
    until(lambda: dock._progress.done > plan.tile_count - largest_block(plan) - 8)
    return plan


def test_cancel_returns_at_once_and_run_goes_on_from_there(dock, viewer, until, gate, redness):
    gate.let(3)
    dock.panel.run.click()
    until(lambda: dock.live.layers is not None and shown(viewer) > 0)
    plan = all_but_one_block(dock, until)
    changed: list[object] = []
    dock.session.run_changed.connect(changed.append)
    dock.panel.cancel.click()
    assert changed == [dock.form.slide_layer]  # so that other docks read what was scored
    assert not dock.scoring.is_running
    assert dock.panel.run.isEnabled()
    assert not dock.panel.cancel.isEnabled()
    assert "Cancelled" in dock.panel.state.text()
    assert not dock.save.isEnabled()
    assert shown(viewer) > 0
    gate.open()
    run_to_end(dock, until)
    assert dock.shown_run.store.complete
    # No tile of a stored block was scored twice: at most the block under way was.
    assert sum(redness.network.batches) <= plan.tile_count + largest_block(plan)


def test_run_twice_shows_the_stored_result_without_scoring(dock, viewer, until, redness):
    run_to_end(dock, until)
    before = [layer.data.copy() for layer in map_layers(viewer)]
    calls = len(redness.network.batches)
    run_to_end(dock, until)
    assert len(redness.network.batches) == calls
    after = [layer.data for layer in map_layers(viewer)]
    assert len(after) == len(before)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)

    dock.form.again.setChecked(True)
    run_to_end(dock, until)
    assert len(redness.network.batches) > calls


def test_pressing_run_twice_starts_one_run(dock, until, gate, redness):
    dock.panel.run.click()
    assert not dock.panel.run.isEnabled()
    dock.run()
    gate.open()
    until(lambda: not dock.scoring.is_running)
    assert dock.panel.problem.text() == ""
    assert sum(redness.network.batches) == dock.shown_run.plan.tile_count


def test_changing_settings_recounts_the_tiles(dock, until):
    before = dock.panel.count.text()
    tick(dock, 0.25)
    until(lambda: dock.panel.count.text() not in (before, "Counting tiles …"))
    assert "at 40x" in dock.panel.count.text()
    assert "at 20x" not in dock.panel.count.text()


def test_another_scale_can_be_typed(dock):
    dock.form.other_scale.setText("30x")
    dock.form.other_scale.returnPressed.emit()
    assert dock.form.scales.ticked == (0.5, pytest.approx(1 / 3))
    dock.form.other_scale.setText("huge")
    dock.form.other_scale.returnPressed.emit()
    assert "'huge' is not a scale" in dock.panel.problem.text()


def test_an_untrained_scale_is_warned_of_and_left_out_of_the_fused_map(dock, until):
    tick(dock, 0.5, 1.0)
    run_to_end(dock, until)
    assert "1 µm/px lies outside" in dock.panel.warning.text()
    np.testing.assert_array_equal(
        dock.live.layers.maps.heat_map(MapName("malignant", "multi-scale mean")).values,
        dock.live.layers.maps.heat_map(MapName("malignant", "20x")).values,
    )


def test_no_scale_is_said_so(dock, until):
    tick(dock)
    until(lambda: "No scale" in dock.panel.count.text())
    run_to_end(dock, until)
    assert "No scale was given" in dock.panel.problem.text()
    assert dock.panel.run.isEnabled()


def test_only_what_is_drawn_is_scored(dock, viewer, until):
    shapes = viewer.add_shapes(
        [[[60, 120], [60, 165], [100, 165], [100, 120]]], units=("um", "um"), name="here"
    )
    dock.form.region.setCurrentText("Selected shapes")
    tick(dock, 0.25)
    run_to_end(dock, until)
    tiles = dock.shown_run.plan.scales[0]
    # The shape covers level-0 px 480-660 by 240-400: tiles that lie half in it.
    assert tiles.x.min() >= 480 - 32
    assert tiles.x.max() + 64 <= 660 + 32
    assert 0 < len(tiles) <= 9
    viewer.layers.remove(shapes)
    run_to_end(dock, until)
    assert "No area is drawn" in dock.panel.problem.text()


def test_what_is_in_view_is_scored(dock, viewer, until):
    viewer.scene.camera.center = (0, 80, 144)
    viewer.scene.camera.zoom = min(viewer.canvas.size) / 40
    dock.form.region.setCurrentText("What is in view")
    tick(dock, 0.25)
    run_to_end(dock, until)
    tiles = dock.shown_run.plan.scales[0]
    assert len(tiles) < 200
    assert (np.abs(tiles.y + 32 - 320) <= 80 + 32).all()


def test_the_status_bar_tells_the_scores_under_the_cursor(dock, viewer, until):
    tick(dock, 0.25, 0.5)
    run_to_end(dock, until)
    red = dock.live.cursor.describe((320 * 0.25, 576 * 0.25))
    assert red.startswith("SMSE tile at (576, 320) px: 40x P(benign) 0.0")
    assert "| 20x" in red
    assert dock.live.cursor.describe((320 * 0.25, 1200 * 0.25)) == ""
    viewer.cursor.position = (320 * 0.25, 576 * 0.25)
    viewer.status = {"coordinates": "x", "layer_base": "", "source_type": "", "plugin": ""}
    assert viewer.status == red


def test_the_table_sorts_and_a_click_flies_to_the_tile(dock, viewer, until):
    tick(dock, 0.25)
    run_to_end(dock, until)
    model = dock.table.tiles
    assert model.headers == ["Scale", "x", "y", "Tissue", "benign", "malignant", "Call"]
    assert model.rowCount() == dock.shown_run.plan.tile_count
    malignant = [float(model.data(model.index(row, 5))) for row in range(model.rowCount())]
    assert malignant == sorted(malignant, reverse=True)
    top = model.tile(0).region
    assert 512 <= top.x <= 640 - 64
    assert 256 <= top.y <= 384 - 64

    dock.table.selectRow(0)
    y, x = viewer.scene.camera.center[-2:]
    assert x == pytest.approx((top.x + 32 - 0.5) * 0.25)
    assert y == pytest.approx((top.y + 32 - 0.5) * 0.25)
    first, last = marked(viewer)
    assert first == pytest.approx([(top.y - 0.5) * 0.25, (top.x - 0.5) * 0.25])
    assert last - first == pytest.approx([top.height * 0.25, top.width * 0.25])
    marker = viewer.layers[MARKER_NAME]

    dock.table.sortByColumn(1, Qt.SortOrder.AscendingOrder)
    assert model.tile(0).region.x == 0
    dock.table.selectRow(3)
    # The same layer, as adding and removing one holds the viewer up.
    assert [layer for layer in viewer.layers if layer.name == MARKER_NAME] == [marker]
    tile = model.tile(3).region
    assert marked(viewer)[0] == pytest.approx([(tile.y - 0.5) * 0.25, (tile.x - 0.5) * 0.25])


def test_save_writes_everything(dock, until, tmp_path):
    run_to_end(dock, until)
    dock.save_to(tmp_path / "out")
    until(lambda: "Saved" in dock.panel.state.text())
    folder = tmp_path / "out" / "slide"
    assert {p.name for p in folder.iterdir()} == {
        "tiles.parquet",
        "tiles.csv",
        "tiles.geojson",
        "heatmap.png",
        "report.html",
        "report.pdf",
        "scores.zarr",
        "run.json",
    }
    record = json.loads((folder / "run.json").read_text())
    assert record["slide"]["mpp"] == 0.25
    assert record["model"]["name"] == "redness"


def test_the_run_is_copied_as_a_command_and_as_python(dock, until):
    dock.form.options.choose(overlap=0.5)
    dock.results.copy.command.trigger()
    command = QApplication.clipboard().text()
    assert command.startswith("napari-smse score ")
    assert "--overlap 0.5" in command
    dock.results.copy.python.trigger()
    assert "overlap=0.5" in QApplication.clipboard().text()


def test_export_asks_for_a_program_and_saves_the_results_first(
    dock, until, tmp_path, monkeypatch, told
):
    assert not dock.export.isEnabled()
    run_to_end(dock, until)
    asked = []

    def answer(dialog):
        asked.append(dialog)
        button = dialog.buttons.button(QDialogButtonBox.StandardButton.Ok)
        assert not button.isEnabled()
        dialog.targets.setCurrentIndex(dialog.targets.findData("trident"))
        dialog.browse.click()
        assert button.isEnabled()
        return True

    monkeypatch.setattr(ExportDialog, "exec", answer)
    place = "napari_smse.widgets.score.export_dialog.QFileDialog.getExistingDirectory"
    monkeypatch.setattr(place, lambda *_: str(tmp_path / "out"))
    dock.export.click()
    until(lambda: not dock.saver.task.is_running)
    (features,) = (tmp_path / "out" / "trident").rglob("features_redness/slide.h5")
    record = tmp_path / "out" / "slide" / "run.json"
    assert str(features) in dock.panel.state.text()
    assert asked[0].targets.count() == len(TARGETS)

    # What was saved as it is shown is not saved again, and what was exported is not replaced.
    when = record.stat().st_mtime_ns
    dock.export.click()
    until(lambda: not dock.saver.task.is_running)
    assert "lies there already" in told[-1]
    assert record.stat().st_mtime_ns == when


def test_a_slide_whose_name_leads_out_is_saved_within_the_folder(
    viewer, redness, slide_path, until, tmp_path
):
    named = slide_path.rename(slide_path.with_name("...tif"))
    viewer.add_layer(Layer.create(*read_slides(str(named))[0]))
    made = ScoreDock(viewer)
    viewer.window.add_dock_widget(made)
    until(lambda: "to score:" in made.panel.count.text())
    run_to_end(made, until)
    made.save_to(tmp_path / "deep" / "out")
    until(lambda: not made.saver.task.is_running)
    found = [path.relative_to(tmp_path / "deep") for path in (tmp_path / "deep").rglob("run.json")]
    assert len(found) == 1
    assert found[0].parts[0] == "out"
    assert len(found[0].parts) == 3
    made.close()


def test_with_little_time_all_tissue_is_seen_once_and_run_looks_closer(
    dock, viewer, until, monkeypatch, tmp_path
):
    tick(dock, 0.25, 0.5)
    dock.form.options.choose(time_limit=600)
    until(lambda: "as time allows" in dock.panel.count.text())
    chosen = ScoreForm.settings.fget
    with monkeypatch.context() as patched:
        no_time = property(lambda form: replace(chosen(form), time_limit=0.0))
        patched.setattr(ScoreForm, "settings", no_time)
        run_to_end(dock, until)
    assert dock.panel.state.text().startswith("Time is up: ")
    fine, coarse = dock.live.layers.maps.scores()
    assert np.isnan(fine.probability).all()
    assert np.isfinite(coarse.probability).all()
    dock.save_to(tmp_path / "out")
    until(lambda: "Saved to" in dock.panel.state.text())
    record = json.loads((tmp_path / "out" / "slide" / "run.json").read_text())
    assert [scale["scored"] for scale in record["scales"]] == [0, len(coarse.tiles)]
    run_to_end(dock, until)
    assert dock.panel.state.text().startswith("Done: ")
    assert all(np.isfinite(one.probability).all() for one in dock.live.layers.maps.scores())


def test_time_is_unlimited_unless_given(dock):
    minutes = dock.form.options.fields["time_limit"].native
    assert minutes.text() == "none"
    assert dock.form.settings.time_limit is None
    minutes.setValue(3)
    assert dock.form.settings.time_limit == 180


def test_saving_where_one_may_not_is_said_and_loses_nothing(dock, until, tmp_path):
    run_to_end(dock, until)
    (tmp_path / "file").write_text("")
    dock.save_to(tmp_path / "file")
    until(lambda: dock.panel.problem.text() != "")
    assert "file" in dock.panel.problem.text()
    assert dock.panel.state.text().startswith("Scored by redness 1")  # and not "Saving to …" still
    assert dock.shown_run.store.complete
    assert dock.save.isEnabled()


def test_who_saves_twice_at_once_is_told_and_the_first_is_written(
    dock, until, tmp_path, monkeypatch
):
    run_to_end(dock, until)
    may_write, write = threading.Event(), result_saver.save_shown_results

    def waiting(**what):
        assert may_write.wait(60)
        return write(**what)

    monkeypatch.setattr(result_saver, "save_shown_results", waiting)
    dock.save_to(tmp_path / "one")
    dock.save_to(tmp_path / "other")
    assert "still being written" in dock.panel.problem.text()
    may_write.set()
    until(lambda: "Saved" in dock.panel.state.text())
    assert (tmp_path / "one" / "slide" / "run.json").exists()
    assert not (tmp_path / "other").exists()


def test_other_um_px_typed_while_the_slide_is_scored_stop_that(dock, until, gate):
    gate.let(1)
    dock.panel.run.click()
    until(lambda: dock.live.layers is not None)
    dock.form.mpp_typed.emit(0.3)
    assert not dock.scoring.is_running
    assert dock.shown_run is None
    assert dock.live.layers is None
    assert "of other µm/px: press Run again" in dock.panel.state.text()
    gate.open()
    run_to_end(dock, until)
    assert dock.shown_run.store.facts["slide"]["mpp"] == 0.3


def test_a_slide_that_breaks_half_way_says_so_and_keeps_the_maps(dock, until, monkeypatch, viewer):
    monkeypatch.setattr("napari_smse.tiles.plan.BLOCK_EDGE", 300)
    dock.form.options.choose(overlap=0.5)
    window, calls = Slide.window, []

    def breaking(self, region, mpp):
        calls.append(region)
        if len(calls) > 2:
            raise DamagedSlideError("slide.tif cannot be read there")
        return window(self, region, mpp)

    monkeypatch.setattr(Slide, "window", breaking)
    run_to_end(dock, until)
    assert "cannot be read there" in dock.panel.problem.text()
    assert dock.panel.run.isEnabled()
    assert shown(viewer) > 0


def test_a_deleted_file_is_said_so(dock, slide_path, until):
    slide_path.unlink()
    run_to_end(dock, until)
    assert "is gone" in dock.panel.problem.text()


@pytest.mark.parametrize("how", ["slide", "everything", "with another slide open"])
def test_removing_the_slide_stops_its_run(
    dock, viewer, until, gate, redness, slide_path, tmp_path, how
):
    if how == "with another slide open":
        rgb = np.full((700, 900, 3), (205, 150, 190), np.uint8)
        write_pyramid_tiff(tmp_path / "second.tif", rgb, mpp=0.5)
        viewer.open(tmp_path / "second.tif", plugin="napari-smse")
        dock.form.slide.setCurrentIndex(0)
    gate.let(3)
    dock.panel.run.click()
    plan = all_but_one_block(dock, until)
    viewer.layers.clear() if how == "everything" else viewer.layers.remove("slide")
    assert not dock.scoring.is_running
    assert dock.panel.state.text().startswith("slide: Stopped, as the slide was closed.")
    gate.open()
    assert dock.panel.problem.text() == ""
    assert dock.panel.run.isEnabled() == (how == "with another slide open")
    assert sum(redness.network.batches) < plan.tile_count
    # What was scored is there when the slide is opened again.
    viewer.open(slide_path, plugin="napari-smse")
    run_to_end(dock, until)
    assert dock.panel.state.text().startswith("Done")
    assert sum(redness.network.batches) <= plan.tile_count + largest_block(plan)


def test_removing_another_layer_does_not_stop_the_run(dock, viewer, until, gate):
    viewer.add_image(np.zeros((9, 9)), name="not a slide")
    gate.let(2)
    dock.panel.run.click()
    until(lambda: dock.live.layers is not None)
    viewer.layers.remove("not a slide")
    assert dock.scoring.is_running
    gate.open()
    until(lambda: not dock.scoring.is_running)
    assert dock.panel.state.text().startswith("Done")


@pytest.mark.parametrize("how", ["closed", "taken out of the window"])
def test_a_dock_that_is_gone_stops_the_run(dock, viewer, until, gate, redness, how):
    gate.let(2)
    dock.panel.run.click()
    until(lambda: dock.live.layers is not None)
    if how == "closed":
        dock.close()
    else:
        viewer.window.remove_dock_widget(dock)
    assert not dock.scoring.is_running
    gate.open()
    viewer.layers.clear()
    assert sum(redness.network.batches) < dock.shown_run.plan.tile_count


def test_a_slide_without_scale_asks_for_it(viewer, redness, tmp_path, until):
    rgb = np.full((900, 900, 3), (205, 150, 190), np.uint8)
    write_pyramid_tiff(tmp_path / "bare.tif", rgb, mpp=None)
    viewer.open(tmp_path / "bare.tif", plugin="napari-smse")
    dock = ScoreDock(viewer)
    assert dock.form.mpp.text() == "not stated"
    until(lambda: "µm/px" in dock.panel.count.text())
    dock.panel.run.click()
    assert "µm/px" in dock.panel.problem.text()
    dock.form.mpp.setValue(0.25)
    assert "user override" in dock.form.source.text()
    assert tuple(viewer.layers["bare"].scale) == (0.25, 0.25)
    until(lambda: "to score:" in dock.panel.count.text())
    run_to_end(dock, until)
    assert dock.panel.state.text().startswith("Done")
    dock.close()


def test_a_slide_that_is_opened_is_chosen_and_the_earlier_one_can_be_chosen_again(
    dock, viewer, tmp_path, until
):
    rgb = np.full((700, 900, 3), (205, 150, 190), np.uint8)
    write_pyramid_tiff(tmp_path / "second.tif", rgb, mpp=0.5)
    viewer.open(tmp_path / "second.tif", plugin="napari-smse")
    assert dock.form.slide.currentText() == "second"
    assert dock.form.mpp.value() == 0.5
    dock.form.slide.setCurrentIndex(0)
    assert dock.form.mpp.value() == 0.25
    viewer.add_image(np.zeros((9, 9)), name="not a slide")
    assert dock.form.slide.currentText() == "slide"
    viewer.layers.remove("slide")
    assert dock.form.slide.currentText() == "second"
    run_to_end(dock, until)
    assert dock.panel.state.text().startswith("Done")


def test_a_fluorescence_slide_is_refused(dock, viewer, tmp_path, until):
    rgb = np.zeros((700, 900, 3), np.uint8)
    rgb[::20, ::20] = (30, 60, 255)
    write_pyramid_tiff(tmp_path / "dapi.tif", rgb, mpp=0.25)
    viewer.open(tmp_path / "dapi.tif", plugin="napari-smse")
    until(lambda: "not a brightfield slide" in dock.panel.count.text())
    run_to_end(dock, until)
    assert "not a brightfield slide" in dock.panel.problem.text()
    assert map_layers(viewer) == []
