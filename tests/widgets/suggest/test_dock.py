from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_smse.annotations import read_annotations
from napari_smse.errors import ModelNotFoundError, OutputError
from napari_smse.progress import run_task
from napari_smse.widgets import autosave
from napari_smse.widgets.annotate import dock as annotate_dock
from napari_smse.widgets.annotate.dock import AnnotateDock
from napari_smse.widgets.layers.annotation_layer import drawn_on
from napari_smse.widgets.layers.annotation_shapes import CLASS, IDENTITY
from napari_smse.widgets.layers.tile_marker import MARKER_NAME, marked
from napari_smse.widgets.session import session_of
from napari_smse.widgets.slide_layers import (
    LayerKind,
    LayerMark,
    slide_layers,
    slide_of,
)
from napari_smse.widgets.suggest import dock as next_dock
from napari_smse.widgets.suggest.dock import SuggestDock
from napari_smse.widgets.suggest.tile_queue import SKIPPED
from napari_smse.widgets.tile_notes import notes_of
from napari_smse.widgets.worker import ComputeLock
from napari_smse.workflows import score_slide
from napari_smse.workflows.score_slide import ScoreJob
from napari_smse.workflows.scored_slide import Run
from napari_smse.workflows.settings.score import ScoreSettings
from support.annotated_slides import PINK_BOXES, RED_BOXES, write_darker_slide, write_red_slide
from support.docks import put_in_force, run_in_force

pytestmark = pytest.mark.gui


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """Unsaved annotations lie here."""
    monkeypatch.setattr(autosave, "autosave_folder", lambda: tmp_path / "unsaved")
    return tmp_path / "unsaved"


@pytest.fixture
def told(monkeypatch):
    """What the user was told went wrong."""
    texts = []
    for place in (annotate_dock, next_dock):
        monkeypatch.setattr(place, "show_error", texts.append)
    return texts


@pytest.fixture
def dock(viewer, redness, told):
    made = SuggestDock(viewer)
    viewer.window.add_dock_widget(made, name="SMSE: Annotate next")
    yield made
    made.close()


@pytest.fixture
def scored(viewer, redness, tmp_path):
    """Opens a slide and scores it."""

    def score(name="slide", seed=0, mpp=0.5, write=write_red_slide):
        path = write(tmp_path, name, seed)
        viewer.open(path, plugin="napari-smse")
        layer = list(slide_layers(viewer))[-1]
        job = ScoreJob(slide_of(layer), "redness", ScoreSettings((mpp,)))
        put_in_force(layer, run_task(job.run()))
        return layer

    return score


@pytest.fixture
def annotate(viewer, told):
    made = AnnotateDock(viewer)
    viewer.window.add_dock_widget(made, name="SMSE: Annotate")
    yield made
    made.close()


@pytest.fixture
def queue(dock, scored, until):
    """Six tiles of a slide that wait."""
    layer = scored()
    find(dock, until, 6)
    return layer


def find(dock, until, count=6):
    dock.queue.count.value = count
    dock.queue.find.click()
    until(lambda: not dock.finding.is_running)


def press(dock, qtbot, key):
    canvas = dock.viewer.window._qt_viewer.canvas.native
    canvas.setFocus()
    qtbot.keyClick(canvas, key)


def squares(dock, layer):
    """Bounds and class of what is drawn on a slide."""
    drawn = drawn_on(dock.viewer, layer, slide_of(layer)).annotations
    return [(tuple(round(side) for side in one.geometry.bounds), one.class_name) for one in drawn]


def bounds(queued):
    one = queued.tile.region
    return one.x, one.y, one.x + one.width, one.y + one.height


def keys_of(owner):
    return {str(key): owner.keymap[key] for key in owner.keymap}


def draw(dock, layer, name, *place):
    x, y, width, height = place
    corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    dock.drawing.layer.selected_data = set()
    dock.table.choose(list(dock.table.colours).index(name))
    dock.drawing.layer.add(
        np.array([(b - 0.5, a - 0.5) for a, b in corners]), shape_type="rectangle"
    )


# -- where to annotate next ------------------------------------------------------------


def test_the_plugin_menu_opens_the_dock(viewer):
    _, made = viewer.window.add_plugin_dock_widget("napari-smse", "SMSE: Annotate next")
    assert isinstance(made, SuggestDock)
    assert "Score a slide first" in made.state.text()
    made.close()


def test_without_a_scored_slide_it_says_what_to_do(dock, until, viewer, tmp_path):
    viewer.open(write_red_slide(tmp_path), plugin="napari-smse")
    find(dock, until)
    assert "Score a slide first" in dock.queue.note.text()
    assert dock.queue.tiles == []


@pytest.mark.shown
def test_tiles_are_found_flown_to_and_outlined(dock, queue, until):
    assert len(dock.queue.tiles) == 6
    assert dock.queue.progress.text() == "0 labelled, 6 to go"
    assert MARKER_NAME in dock.viewer.layers
    outline = np.array(marked(dock.viewer))
    x, y, right, bottom = bounds(dock.queue.tile)
    middle = np.array([(y + bottom - 1) / 2, (x + right - 1) / 2]) * slide_of(queue).mpp
    assert outline.mean(axis=0) == pytest.approx(middle)
    assert dock.viewer.scene.camera.center[-2:] == pytest.approx(middle)
    until(lambda: not dock.queue.list.item(5).icon().isNull())


@pytest.mark.shown
def test_keys_label_the_tile_and_the_next_one_comes(dock, queue, annotate, qtbot, settle):
    first, second = dock.queue.tiles[:2]
    dock.queue.go_to(0)
    press(dock, qtbot, Qt.Key.Key_2)
    press(dock, qtbot, Qt.Key.Key_1)
    assert squares(dock, queue) == [(bounds(first), "malignant"), (bounds(second), "benign")]
    assert dock.queue.current == 2
    assert dock.queue.progress.text() == "2 labelled, 4 to go"
    # They are the Annotate dock's, drawn in its colours, and it counts them.
    assert list(annotate.drawing.layer.features[CLASS]) == ["malignant", "benign"]
    assert len(set(annotate.drawing.layer.features[IDENTITY])) == 2
    assert annotate.table.current == "benign"
    assert annotate.table.item(1, 2).text() == "1"


@pytest.mark.shown
def test_skipping_and_taking_back(dock, queue, annotate, qtbot):
    dock.queue.go_to(0)
    press(dock, qtbot, Qt.Key.Key_S)
    press(dock, qtbot, Qt.Key.Key_Space)
    press(dock, qtbot, Qt.Key.Key_1)
    assert dock.queue.progress.text() == "1 labelled, 2 skipped, 3 to go"
    assert dock.queue.states[:3] == [SKIPPED, SKIPPED, "benign"]
    press(dock, qtbot, Qt.Key.Key_Backspace)
    assert squares(dock, queue) == []
    assert dock.queue.current == 2
    press(dock, qtbot, Qt.Key.Key_Backspace)
    assert dock.queue.progress.text() == "0 labelled, 1 skipped, 5 to go"
    for _ in range(3):
        press(dock, qtbot, Qt.Key.Key_Backspace)
    assert dock.queue.states == [""] * 6


def test_a_tile_that_is_labelled_again_has_one_label(dock, queue, annotate):
    dock.labelling.label(0)
    dock.queue.go_to(0)
    dock.labelling.label(1)
    assert squares(dock, queue) == [(bounds(dock.queue.tiles[0]), "malignant")]


def test_what_else_is_drawn_stays_as_it_is(dock, queue, annotate):
    draw(annotate, queue, "benign", 0, 0, 200, 100)
    ellipse = np.array([[300, 100], [300, 200], [400, 200], [400, 100]])
    annotate.drawing.layer.add(ellipse, shape_type="ellipse")
    dock.labelling.label(1)
    dock.labelling.take_back()
    assert list(annotate.drawing.layer.shape_type) == ["rectangle", "ellipse"]


@pytest.mark.shown
def test_a_key_without_a_class_says_so(dock, queue, annotate, qtbot, told):
    dock.queue.go_to(0)
    press(dock, qtbot, Qt.Key.Key_9)
    assert "no class with the key 9" in told[-1]
    assert dock.queue.current == 0


def test_the_keys_work_while_the_dock_has_them(dock, queue, annotate, qtbot):
    qtbot.keyClick(dock.queue, Qt.Key.Key_2)
    qtbot.keyClick(dock.queue, Qt.Key.Key_S)
    qtbot.keyClick(dock.queue, Qt.Key.Key_Space)
    qtbot.keyClick(dock.queue, Qt.Key.Key_Backspace)
    assert dock.queue.states[:3] == ["malignant", SKIPPED, ""]


@pytest.mark.shown
def test_keys_are_given_back(dock, annotate, scored, until, qtbot):
    layer = scored()
    annotate.modes["Select"].click()
    before, of_layer = keys_of(dock.viewer), keys_of(layer)
    assert "1" in before
    find(dock, until)
    assert keys_of(dock.viewer)["1"] is not before["1"]
    dock.tabs.setCurrentIndex(1)
    assert (keys_of(dock.viewer), keys_of(layer)) == (before, of_layer)
    assert dock.viewer.layers.selection.active is annotate.drawing.layer
    press(dock, qtbot, Qt.Key.Key_2)
    assert annotate.table.current == "malignant"
    assert squares(dock, layer) == []
    dock.tabs.setCurrentIndex(0)
    assert keys_of(dock.viewer)["1"] is not before["1"]
    dock.close()
    assert (keys_of(dock.viewer), keys_of(layer)) == (before, of_layer)


@pytest.mark.shown
def test_keys_are_given_back_while_another_dock_lies_over_it(dock, annotate, scored, until):
    scored()
    before = keys_of(dock.viewer)
    find(dock, until)
    dock.hide()
    assert keys_of(dock.viewer) == before
    dock.show()
    assert keys_of(dock.viewer)["1"] is not before["1"]


@pytest.mark.shown
@pytest.mark.parametrize(
    "kind",
    [
        LayerKind.HEAT_MAP,
        LayerKind.EXPORTED_MAP,
        LayerKind.OTHER_SCORES,
        LayerKind.OUT_OF_DISTRIBUTION,
        LayerKind.SIMILARITY,
    ],
)
def test_maps_are_hidden_meanwhile_unless_told_otherwise(dock, scored, until, kind):
    # Whoever sees what a network says of a place labels it likewise.
    layer = scored()
    of = slide_of(layer).quick_hash
    own = dock.viewer.add_image(np.zeros((4, 4)), metadata=LayerMark(kind, of).metadata)
    find(dock, until)
    assert not own.visible
    dock.queue.hide_maps.setChecked(False)
    assert own.visible
    dock.queue.hide_maps.setChecked(True)
    assert not own.visible
    # What comes meanwhile, as another run's maps do, is no better.
    late = dock.viewer.add_image(np.zeros((4, 4)), metadata=LayerMark(kind, of).metadata)
    assert not late.visible
    dock.close()
    assert own.visible
    assert late.visible
    assert dock.viewer.add_image(np.zeros((4, 4)), metadata=LayerMark(kind, of).metadata).visible


def test_a_label_that_cannot_be_saved_is_told_and_can_be_taken_back(dock, queue, told, monkeypatch):
    def full(*_):
        raise OutputError("the disk is full")

    monkeypatch.setattr(autosave.Autosave, "save", full)
    dock.labelling.label(0)
    assert "the disk is full" in told[-1]
    assert len(squares(dock, queue)) == 1
    dock.labelling.take_back()
    assert squares(dock, queue) == []


@pytest.mark.shown
def test_keys_are_given_back_when_the_queue_is_done(dock, scored, until):
    scored()
    before = keys_of(dock.viewer)
    find(dock, until, 2)
    dock.labelling.label(0)
    dock.labelling.skip()
    assert dock.queue.tile is None
    assert "All done" in dock.queue.facts.text()
    assert keys_of(dock.viewer) == before
    dock.labelling.take_back()
    assert dock.queue.current == 1
    assert "1" in keys_of(dock.viewer)


def test_the_keys_of_an_annotate_dock_that_opened_meanwhile_stay(dock, queue, viewer):
    later = AnnotateDock(viewer)
    theirs = keys_of(viewer)["1"]
    dock.close()
    assert keys_of(viewer)["1"] is theirs
    later.close()
    assert "1" not in keys_of(viewer)


@pytest.mark.shown
def test_without_the_annotate_dock_the_models_classes_are_taken_and_saved(dock, queue, folder):
    assert [button.text() for button in dock.queue.labels] == ["benign  [1]", "malignant  [2]"]
    dock.labelling.label(1)
    dock.close()
    (path,) = folder.glob("*.geojson")
    assert [one.class_name for one in read_annotations(path).annotations] == ["malignant"]
    made = AnnotateDock(dock.viewer)
    # It finds them as its own, and does not ask.
    assert len(made.drawing.layer.data) == 1
    assert made.recovery.isHidden()
    made.close()


def test_labelled_tiles_are_not_asked_for_again(dock, queue, until):
    requested = {bounds(one) for one in dock.queue.tiles}
    for _ in range(6):
        dock.labelling.label(0)
    find(dock, until)
    assert len(dock.queue.tiles) == 6
    assert not requested & {bounds(one) for one in dock.queue.tiles}


@pytest.mark.shown
def test_slides_take_turns_and_hide_each_other_only_meanwhile(dock, scored, until):
    first, second = scored(), scored("other", seed=1)
    find(dock, until)
    names = [one.tile.slide.name for one in dock.queue.tiles]
    assert names[:2] == ["slide", "other"] or names[:2] == ["slide.tif", "other.tif"]
    assert (first.visible, second.visible) == (True, False)
    dock.labelling.skip()
    assert (first.visible, second.visible) == (False, True)
    dock.labelling.take_back()
    assert (first.visible, second.visible) == (True, False)
    dock.tabs.setCurrentIndex(2)
    # The one in view before.
    assert (first.visible, second.visible) == (False, True)


def test_a_slide_that_was_removed_is_told(dock, queue, told):
    dock.viewer.layers.remove(queue)
    dock.labelling.label(0)
    assert "not in the viewer any more" in told[-1]
    assert dock.queue.progress.text() == "0 labelled, 6 to go"
    dock.labelling.skip()
    assert dock.queue.current == 1


def test_closing_while_it_looks(dock, scored, settle):
    scored()
    dock.queue.find.click()
    dock.queue.find.click()
    dock.close()
    settle()
    assert not dock.finding.is_running
    assert dock.queue.tiles == []


def test_slides_of_two_models_are_not_mixed(dock, scored, until):
    scored()
    layer = scored("other", seed=1)
    run = run_in_force(layer)
    other = run.card.model_copy(update={"name": "another", "weights_sha256": "f" * 64})
    put_in_force(layer, Run(run.plan, run.store, other, run.device, run.warnings, run.model))
    find(dock, until)
    note = dock.queue.note.text()
    assert "redness" in note
    assert "another" in note


def test_what_was_found_with_another_model_than_the_one_in_force_is_told(dock, scored, until):
    layer = scored()
    find(dock, until)
    assert "Found with" not in dock.state.text()
    run = run_in_force(layer)
    card = run.card.model_copy(update={"name": "tuned"})
    session_of(dock.viewer).set_run(layer, replace(run, card=card, base=run))
    assert "Model tuned 1." in dock.state.text()
    shown = "Found with redness 1, and shown until you look again: the tiles to annotate next."
    assert shown in dock.state.text()
    # Asking for something else changes nothing about the queue, and neither does what failed.
    dock.efficiency.ask.click()
    until(lambda: not dock.estimating.is_running)
    assert dock.queue.tiles
    assert shown in dock.state.text()
    find(dock, until)
    assert "Found with" not in dock.state.text()


def test_two_models_of_one_name_and_version_are_told_apart(dock, scored, until):
    layer = scored()
    find(dock, until)
    run = run_in_force(layer)
    card = run.card.model_copy(update={"weights_sha256": "f" * 64})
    session_of(dock.viewer).set_run(layer, replace(run, card=card))
    assert "Found with redness 1" in dock.state.text()


# -- label efficiency ------------------------------------------------------------------


@pytest.fixture
def labelled(dock, scored, annotate):
    """A slide with two regions of either class."""
    layer = scored()
    annotate.slides.setCurrentIndex(0)
    for name, boxes in (("benign", PINK_BOXES), ("malignant", RED_BOXES)):
        for left, top, right, bottom in boxes:
            draw(annotate, layer, name, left, top, right - left, bottom - top)
    return layer


def start_label_efficiency(dock, until):
    dock.efficiency.ask.click()
    until(lambda: not dock.estimating.is_running)


def test_it_says_which_labels_are_missing(dock, scored, until):
    scored()
    assert dock.efficiency.curve.isHidden()
    start_label_efficiency(dock, until)
    assert "Nothing is labelled yet" in dock.efficiency.sentence.text()
    assert dock.efficiency.curve.isHidden()
    assert dock.efficiency.about.isHidden()


@pytest.mark.shown
def test_label_efficiency_is_shown(dock, labelled, until):
    start_label_efficiency(dock, until)
    efficiency = dock.efficiency
    assert efficiency.sentence.text().startswith("Too few to tell whether further labels help")
    assert efficiency.about.text().startswith("60 labelled tiles in 4 regions")
    assert efficiency.plot.isVisible()
    _, shares = efficiency.plot.random.getData()
    assert shares == pytest.approx(100 * efficiency.found.efficiency.random.accuracy.mean(axis=0))
    ticks = efficiency.plot.plot.getAxis("bottom")._tickLevels[0]
    assert [text for _, text in ticks] == ["2", "4", "8", "16"]
    assert efficiency.plot.chance.value() == 50
    assert efficiency.ask.text() == "Learning curve"
    # It is folded and unfolded with all that is said of it.
    efficiency.curve.collapse(animate=False)
    assert not efficiency.about.isVisible()
    start_label_efficiency(dock, until)
    assert not efficiency.curve.isExpanded()


@pytest.mark.shown
def test_the_curve_follows_the_labels_while_it_is_in_view(dock, labelled, until):
    dock._judge_later.setInterval(0)
    find(dock, until)
    dock.labelling.label(1)
    assert dock.efficiency.found is None
    start_label_efficiency(dock, until)
    before = dock.efficiency.found.labelled
    dock.labelling.label(1)
    until(lambda: dock.efficiency.found.labelled == before + 1)
    until(lambda: not dock.estimating.is_running)
    dock.labelling.skip()
    assert not dock._judge_later.isActive()
    dock.labelling.take_back()
    dock.labelling.take_back()
    until(lambda: dock.efficiency.found.labelled == before)
    until(lambda: not dock.estimating.is_running)
    dock.efficiency.curve.collapse(animate=False)
    dock.labelling.label(1)
    until(lambda: not dock._judge_later.isActive())
    assert not dock.estimating.is_running


def test_labels_that_are_gone_take_the_curve_with_them(dock, labelled, annotate, until):
    start_label_efficiency(dock, until)
    annotate.drawing.layer.selected_data = set(range(4))
    annotate.drawing.layer.remove_selected()
    start_label_efficiency(dock, until)
    assert dock.efficiency.curve.isHidden()
    assert dock.efficiency.about.isHidden()
    assert "Nothing is labelled yet" in dock.efficiency.sentence.text()


def test_pressed_twice_it_stops(dock, labelled, until, settle):
    dock.efficiency.ask.click()
    dock.efficiency.ask.click()
    assert dock.efficiency.sentence.text() == "Stopped."
    settle()
    assert dock.efficiency.found is None
    start_label_efficiency(dock, until)
    sentence = dock.efficiency.sentence.text()
    dock.efficiency.ask.click()
    dock.efficiency.ask.click()
    settle()
    assert dock.efficiency.sentence.text() == sentence
    assert dock.efficiency.ask.text() == "Learning curve"


def test_asking_leaves_the_keys_to_the_queue(dock, labelled, until, qtbot):
    find(dock, until)
    dock.queue.setFocus()
    qtbot.mouseClick(dock.efficiency.ask, Qt.MouseButton.LeftButton)
    assert not dock.efficiency.ask.hasFocus()
    until(lambda: not dock.estimating.is_running)


def test_closing_while_labels_are_judged(dock, labelled, settle):
    dock._judge_later.start()
    dock.efficiency.ask.click()
    dock.close()
    settle()
    assert not dock.estimating.is_running
    assert not dock._judge_later.isActive()
    assert dock.efficiency.found is None


# -- labels that neighbours doubt ------------------------------------------------------


@pytest.fixture
def doubted(dock, scored, annotate, until):
    """A red region drawn as benign, beside right ones."""
    layer = scored()
    annotate.slides.setCurrentIndex(0)
    draw(annotate, layer, "benign", 0, 0, 320, 192)
    draw(annotate, layer, "benign", 0, 448, 320, 192)
    draw(annotate, layer, "malignant", 576, 0, 320, 192)
    draw(annotate, layer, "malignant", 576, 448, 320, 192)
    draw(annotate, layer, "benign", 704, 256, 128, 64)
    dock.tabs.setCurrentIndex(1)
    look(dock, until)
    return layer


def look(dock, until):
    dock.label_issues.find.click()
    until(lambda: not dock.doubting.is_running)


def test_wrong_labels_are_found_and_flipped(dock, doubted, until):
    assert len(dock.label_issues.tiles) == 2
    assert {(one.drawn, one.suggested) for one in dock.label_issues.tiles} == {
        ("benign", "malignant")
    }
    assert dock.label_issues.note.text().startswith("2 of 62 annotated tiles")
    dock.label_issues.list.setCurrentRow(0)
    assert MARKER_NAME in dock.viewer.layers
    assert dock.label_issues.flip.text() == "Flip to malignant"
    place = dock.label_issues.tiles[0].tile.region
    dock.label_issues.flip.click()
    (correction,) = notes_of(doubted).corrections
    assert (correction.action, correction.class_name) == ("class", "malignant")
    assert (correction.place.x, correction.place.y) == (place.x, place.y)
    assert correction.place.slide == slide_of(doubted).quick_hash
    # And the next one is there.
    assert dock.label_issues.list.currentRow() == 1
    dock.label_issues.drop.click()
    assert [one.action for one in notes_of(doubted).corrections] == ["class", "ignore"]
    look(dock, until)
    assert dock.label_issues.tiles == []
    assert "Nothing to doubt" in dock.label_issues.note.text()


def test_a_label_that_is_kept_is_not_doubted_again(dock, doubted, until):
    dock.label_issues.list.setCurrentRow(0)
    dock.label_issues.keep.click()
    (correction,) = notes_of(doubted).corrections
    assert (correction.action, correction.class_name) == ("class", "benign")
    kept = dock.label_issues.tiles[0].tile
    look(dock, until)
    assert kept not in [one.tile for one in dock.label_issues.tiles]


def test_a_class_of_one_region_is_told(dock, scored, annotate, until):
    layer = scored()
    for place in ((0, 0, 320, 192), (0, 448, 320, 192)):
        draw(annotate, layer, "benign", *place)
    draw(annotate, layer, "malignant", 576, 0, 320, 192)
    look(dock, until)
    assert "malignant: one region only" in dock.label_issues.note.text()


def test_without_regions_of_two_classes_it_says_what_to_draw(dock, scored, until):
    scored()
    look(dock, until)
    assert "draw at least two regions of each class" in dock.label_issues.note.text()


# -- slides and classes ----------------------------------------------------------------


def test_the_meter_needs_two_slides(dock, scored, until):
    scored()
    dock.show_slides()
    assert "Two scored slides are needed" in dock.batch_effect.sentence.text()
    dock.batch_effect.measure.click()
    until(lambda: not dock.measuring.is_running)
    assert "at least two slides" in dock.batch_effect.sentence.text()
    assert dock.batch_effect.slide.accuracy is None


def test_two_slides_of_the_same_colours_hardly_differ(dock, scored, until):
    scored()
    scored("other", seed=1)
    dock.show_slides()
    assert dock.batch_effect.sentence.text() == ""
    dock.tabs.setCurrentIndex(2)
    dock.batch_effect.measure.click()
    until(lambda: not dock.measuring.is_running)
    assert "The embedding tells the slide in" in dock.batch_effect.sentence.text()
    assert ", chance 50\N{NO-BREAK SPACE}%)" in dock.batch_effect.sentence.text()
    assert dock.batch_effect.slide.accuracy.groups == 2
    assert not dock.batch_effect.slide.isHidden()
    assert "2 slides" in dock.batch_effect.note.text()


def test_slides_of_different_scales_are_not_measured(dock, scored, until):
    scored()
    scored("other", seed=1, mpp=0.6)
    dock.batch_effect.measure.click()
    until(lambda: not dock.measuring.is_running)
    assert "different scales (0.5, 0.6 µm/px)" in dock.batch_effect.sentence.text()


# -- slides with their stain changed ---------------------------------------------------


@pytest.fixture
def measured(dock, scored, until):
    """Two slides that differ by their stain, and were measured."""
    layers = scored(), scored("darker", 1, write=write_darker_slide)
    dock.tabs.setCurrentIndex(2)
    assert dock.batch_effect.stain.isHidden()
    dock.batch_effect.measure.click()
    until(lambda: not dock.measuring.is_running)
    return layers


def is_reading(dock):
    return dock.batch_effect.bar.isVisible() and "stain anew" in dock.batch_effect.bar.format()


@pytest.mark.shown
def test_the_same_tiles_are_shown_as_they_are_and_stained_anew(dock, measured, until):
    batch_effect = dock.batch_effect
    assert batch_effect.stain.isVisible()
    assert not batch_effect.as_is.heading.isVisible()
    assert not batch_effect.stained.isVisible()
    batch_effect.stain.click()
    assert batch_effect.stain.text() == "Stop"
    until(lambda: not dock.staining.is_running)
    assert batch_effect.as_is.heading.isVisible()
    assert batch_effect.stained.isVisible()
    assert batch_effect.as_is.slide.accuracy.accuracy > 0.95
    assert batch_effect.stained.slide.accuracy.accuracy < 0.75
    assert "The slide is told in" in batch_effect.stain_sentence.text()
    assert "384 tiles of 2 slides" in batch_effect.note.text()
    assert not batch_effect.bar.isVisible()
    assert batch_effect.stain.text() == "Measure with stain changed"
    # Measuring as they are begins anew.
    batch_effect.measure.click()
    assert not batch_effect.stained.isVisible()
    until(lambda: not dock.measuring.is_running)
    assert not batch_effect.as_is.heading.isVisible()
    assert batch_effect.stain_sentence.text() == ""


@pytest.mark.shown
def test_it_stops_half_way_and_keeps_what_was_measured(dock, measured, until, settle):
    batch_effect = dock.batch_effect
    before = batch_effect.as_is.slide.accuracy
    batch_effect.stain.click()
    until(lambda: is_reading(dock))
    batch_effect.stain.click()
    assert batch_effect.stain_sentence.text() == "Stopped."
    settle()
    assert not batch_effect.stained.isVisible()
    assert not batch_effect.bar.isVisible()
    assert batch_effect.as_is.slide.accuracy is before
    # And others may use the computer again.
    other = ComputeLock("A slide is being scored")
    assert other.take() == ""
    other.give_back()
    batch_effect.stain.click()
    until(lambda: not dock.staining.is_running)
    assert batch_effect.stained.isVisible()


def test_it_waits_for_others_that_use_the_computer(dock, measured):
    other = ComputeLock("A slide is being scored")
    other.take()
    dock.batch_effect.stain.click()
    assert "A slide is being scored: wait" in dock.batch_effect.stain_sentence.text()
    assert not dock.staining.is_running
    other.give_back()


def test_measuring_anew_or_losing_a_slide_stops_it(dock, measured, until):
    dock.batch_effect.stain.click()
    dock.batch_effect.measure.click()
    assert not dock.staining.is_running
    until(lambda: not dock.measuring.is_running)
    dock.batch_effect.stain.click()
    dock.viewer.layers.remove(measured[1])
    assert not dock.staining.is_running
    assert "Two scored slides are needed" in dock.batch_effect.sentence.text()
    assert dock.batch_effect.stain.isHidden()


@pytest.mark.shown
def test_a_model_that_is_gone_is_told(dock, measured, until, monkeypatch):
    def gone(_name):
        raise ModelNotFoundError("There is no model 'redness'.")

    monkeypatch.setattr(score_slide, "load_cached_model", gone)
    dock.batch_effect.stain.click()
    until(lambda: not dock.staining.is_running)
    assert dock.batch_effect.stain_sentence.text() == "There is no model 'redness'."
    assert not dock.batch_effect.bar.isVisible()
    assert dock.batch_effect.as_is.slide.isVisible()
    other = ComputeLock("A slide is being scored")
    assert other.take() == ""
    other.give_back()


def test_a_slide_whose_file_is_gone_is_told(dock, measured):
    slide_of(measured[1]).path.unlink()
    dock.show_slides()
    assert "1 scored slide: slide." in dock.state.text()
    assert "Left out:" in dock.state.text()
    assert "darker.tif is gone" in dock.state.text()


@pytest.mark.shown
def test_closing_while_it_is_stained_anew(dock, measured, until, settle):
    dock.batch_effect.stain.click()
    until(lambda: is_reading(dock))
    dock.close()
    settle()
    assert not dock.staining.is_running
    assert ComputeLock("A slide is being scored").take() == ""
