"""The summary in the Score dock: what was called, by which model, and where it is hottest."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_smse.widgets.layers.tile_marker import marked
from napari_smse.widgets.score.dock import ScoreDock
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import level0_to_world, slide_layers
from support.slides import write_pyramid_tiff

pytestmark = [pytest.mark.gui, pytest.mark.shown]


@pytest.fixture
def dock(viewer, redness, slide_path, until):
    viewer.open(slide_path, plugin="napari-smse")
    made = ScoreDock(viewer)
    viewer.window.add_dock_widget(made, name="SMSE: Score slide")
    until(lambda: "to score:" in made.panel.count.text())
    made.tabs.setCurrentWidget(made.tabs.summary)
    yield made
    made.close()


@pytest.fixture
def panel(dock):
    return dock.tabs.summary


def run(dock, until, *mpps):
    scales = dock.form.scales
    for row in range(scales.count()):
        item = scales.item(row)
        ticked = item.data(Qt.ItemDataRole.UserRole) in mpps
        item.setCheckState(Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)
    dock.panel.run.click()
    until(lambda: not dock.scoring.is_running)
    until(lambda: not dock.live._adding.isActive() and not dock.live.ood.task.is_running)
    settled(dock, until)


def settled(dock, until):
    summary = dock.summary
    until(lambda: not summary._settling.isActive() and not summary.task.is_running)
    until(lambda: not dock.tabs.summary.pictures.task.is_running)


def test_after_a_run_it_says_what_is_called_by_which_model(dock, panel, until):
    settled(dock, until)
    assert panel.sentence.text() == "Not scored yet: press Run."
    run(dock, until, 0.25)
    assert panel.by.text() == "redness 1 · 40x, 0.25 µm/px"
    (scale,) = dock.summary.summary.scales
    malignant = scale.area_of("malignant")
    assert f"{100 * malignant.share:.1f} % malignant" in panel.sentence.text()
    assert "malignant" in panel.calls.text()
    assert "out of distribution" in panel.calls.text()
    assert "does not say what its training tiles look like" in panel.note.text()
    # All pink tissue is called malignant by its redness, and the red square more so.
    rows = dock.table.tiles.rowCount()
    assert scale.count == rows > 0
    bars = [item for item in panel.histogram.plot.items if hasattr(item, "opts")]
    drawn = sum(np.sum(item.opts["height"]) for item in bars if "height" in item.opts)
    assert drawn == pytest.approx(100)


def test_a_click_on_a_spot_flies_there_and_outlines_it(dock, panel, viewer, until):
    run(dock, until, 0.25)
    spots = dock.summary.summary.leading.spots
    assert panel.spots.count() == len(spots) == 5
    assert panel.spots.item(0).text() == f"{spots[0].probability:.2f}"
    assert not panel.spots.item(0).icon().isNull()
    # The square is the reddest tissue of all.
    hottest = spots[0].region
    assert 448 <= hottest.x < 640
    assert 192 <= hottest.y < 384
    (layer,) = slide_layers(viewer)
    for number in (0, 3, 3):
        viewer.scene.camera.center = (0.0, 0.0, 0.0)
        item = panel.spots.item(number)
        panel.spots.setCurrentItem(item)
        panel.spots.itemClicked.emit(item)
        at = spots[number].region
        middle = level0_to_world(layer, np.array([[at.x + at.width / 2, at.y + at.height / 2]]))[0]
        np.testing.assert_allclose(viewer.scene.camera.center[-2:], middle)
        top_left, bottom_right = marked(viewer)
        np.testing.assert_allclose((top_left + bottom_right) / 2, middle)


def test_it_follows_the_map_that_is_looked_at(dock, panel, until):
    run(dock, until, 0.25, 0.5)
    assert panel.by.text() == "redness 1 · multi-scale mean of 40x and 20x"
    dock.controls.which.setCurrentIndex(dock.controls.which.findText("P(malignant) 20x"))
    settled(dock, until)
    assert panel.by.text() == "redness 1 · 20x, 0.5 µm/px"


def test_at_a_scale_without_training_nothing_is_called_and_nothing_is_hot(dock, panel, until):
    run(dock, until, 1.0)
    assert panel.sentence.text().startswith("Nothing is called on ")
    assert not panel.spots.isVisible()
    assert "None called" in panel.spots_title.text()


def test_it_follows_the_slide_in_view_and_another_um_per_px(dock, panel, viewer, until, tmp_path):
    run(dock, until, 0.5)
    scored, told = session_of(viewer).slide_layer, panel.by.text()
    other = np.full((700, 700, 3), (205, 150, 190), np.uint8)
    write_pyramid_tiff(tmp_path / "other.tif", other, mpp=0.25)
    viewer.open(tmp_path / "other.tif", plugin="napari-smse")
    settled(dock, until)
    assert panel.sentence.text() == "Not scored yet: press Run."
    assert not panel.histogram.isVisible()
    session_of(viewer).choose(scored)
    settled(dock, until)
    assert panel.by.text() == told
    dock.form.mpp_typed.emit(0.3)
    settled(dock, until)
    assert panel.sentence.text() == "Not scored yet: press Run."


def test_behind_the_table_it_sums_up_nothing(dock, panel, until):
    dock.tabs.setCurrentWidget(dock.table)
    run(dock, until, 0.5)
    assert dock.summary.summary is None
    dock.tabs.setCurrentWidget(panel)
    settled(dock, until)
    assert dock.summary.summary is not None
    assert panel.by.text() == "redness 1 · 20x, 0.5 µm/px"


def test_what_is_saved_says_the_same(dock, panel, until, tmp_path):
    run(dock, until, 0.25)
    dock.save_to(tmp_path / "out")
    until(lambda: not dock.saver.task.is_running)
    html = (tmp_path / "out" / "slide" / "report.html").read_text(encoding="utf-8")
    assert panel.sentence.text() in html
    assert (tmp_path / "out" / "slide" / "report.pdf").read_bytes().startswith(b"%PDF")
