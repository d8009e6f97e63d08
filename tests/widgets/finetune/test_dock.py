import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from napari_smse.models import load_model, read_card
from napari_smse.widgets.finetune.dock import FineTuneDock
from napari_smse.widgets.layers.heat_map_layers import shown_map
from napari_smse.widgets.slide_layers import (
    LayerKind,
    is_of_kind,
    layers_of_kind,
)
from napari_smse.workflows import fine_tune, score_slide
from support.annotated_slides import RED, write_red_slide
from support.docks import contrast

pytestmark = pytest.mark.gui


def test_the_plugin_menu_opens_the_dock(viewer):
    _, dock = viewer.window.add_plugin_dock_widget("napari-smse", "SMSE: Fine-tune")
    assert isinstance(dock, FineTuneDock)
    assert "First score a slide" in dock.panel.count.text()
    assert dock.outcome.isHidden()
    dock.close()


@pytest.mark.parametrize("loss", ["triplet", "pair"])
def test_score_annotate_tune_look_roll_back_tune_keep(docks, tmp_path, until, loss, model):
    docks.run_score()
    docks.draw_both()
    own = docks.map_of("malignant")
    docks.tune.form.choose(loss=loss)
    docks.tune.form.choose(steps=400)
    docks.finetune()
    assert docks.tune.result is not None, docks.tune.panel.problem.text()
    assert "Regions of the same cases are held out" in docks.tune.panel.warning.text()
    tuned = docks.map_of("malignant")
    assert contrast(own) < 0
    assert contrast(tuned) > 0.1
    assert docks.tune.outcome.figures.table.item(0, 0).text() == "AUC"
    assert docks.tune.panel.state.text().startswith("Learnt from ")
    docks.tune.outcome.back.click()
    np.testing.assert_allclose(docks.map_of("malignant"), own, atol=1e-6)
    assert docks.tune.outcome.isHidden()
    docks.finetune()
    np.testing.assert_allclose(docks.map_of("malignant"), tuned, atol=1e-5)
    docks.tune.save_to(tmp_path / "mine")
    until(lambda: "Kept as" in docks.tune.panel.state.text())
    card = read_card(tmp_path / "mine")
    assert card.parent.startswith("mini 1, weights ")
    # The kept model says of the slide's pixels what the map shows.
    loaded = load_model(tmp_path / "mine")
    tile = torch.tensor(RED, dtype=torch.uint8)[None, :, None, None].expand(1, 3, 64, 64)
    with torch.inference_mode():
        assert loaded.network(tile).logits.argmax() == 1
    # The model that was tuned is as it was.
    assert read_card(model.path).weights_sha256 == model.card.weights_sha256


def test_classes_of_ones_own_get_maps_of_their_own(docks):
    docks.run_score()
    docks.annotate.table.item(0, 1).setText("stroma")
    docks.annotate.table.item(1, 1).setText("tumour")
    docks.annotate.table.set_colour(1, (1, 2, 3))
    docks.draw_both()
    docks.finetune()
    assert "new class head for stroma, tumour" in docks.tune.panel.warning.text()
    docks.until(lambda: docks.mapped == {"tumour"})
    # The score dock controls and lists what is shown.
    which = docks.score.controls.which
    assert which.itemText(which.currentIndex()) == "P(tumour) 20x"
    seen = [one for one in layers_of_kind(docks.viewer, LayerKind.HEAT_MAP) if one.visible]
    assert [shown_map(one).class_name for one in seen] == ["tumour"]
    assert docks.score.table.tiles.headers[-3:-1] == ["stroma", "tumour"]
    docks.tune.outcome.back.click()
    docks.until(lambda: docks.mapped == {"malignant"})
    assert "P(malignant)" in which.currentText()
    docks.finetune()
    assert read_card(docks.tune.result.saved_path).class_colours["tumour"] == (1, 2, 3)


def test_a_kept_model_scores_the_slide_as_its_maps_showed(docks, monkeypatch, tmp_path):
    docks.run_score()
    docks.draw_both()
    docks.finetune()
    tuned = docks.map_of("malignant")
    docks.tune._past.expand(animate=False)
    history = docks.tune.history
    history.table.selectRow(0)
    history.table.item(0, 4).setText("first try")
    assert read_card(docks.tune.result.saved_path).notes == ("first try",)
    for place in (score_slide, fine_tune):
        monkeypatch.setattr(place, "load_cached_model", load_model)
    monkeypatch.setattr("napari_smse.widgets.score.dock.read_card", read_card)
    history.use.click()
    docks.until(lambda: "is chosen" in docks.score.panel.state.text())
    docks.run_score()
    np.testing.assert_allclose(docks.map_of("malignant"), tuned, atol=0.02)
    history.table.selectRow(0)
    assert history.show_maps.isEnabled()
    docks.tune.outcome.back.click()
    history.show_maps.click()
    docks.until(lambda: not docks.tune.outcome.is_filling)
    np.testing.assert_allclose(docks.map_of("malignant"), tuned, atol=1e-5)
    history.remove.click()
    assert history.table.rowCount() == 0


def begin_to_learn(docks):
    docks.run_score()
    docks.draw_both()
    own = docks.map_of("malignant")
    docks.tune.form.choose(steps=2000)
    docks.tune.panel.run.click()
    docks.until(lambda: docks.tune.panel.bar.format().startswith("step"))
    return own


def test_cancelled_it_asks_and_restores_the_old(docks):
    own = begin_to_learn(docks)
    docks.tune.panel.cancel.click()
    assert not docks.tune.stop_bar.isHidden()
    assert "Stopped after step" in docks.tune.stop_bar.text.text()
    docks.tune.stop_bar.restore.click()
    assert docks.tune.stop_bar.isHidden()
    assert "as they were" in docks.tune.panel.state.text()
    assert docks.tune.result is None
    np.testing.assert_array_equal(docks.map_of("malignant"), own)
    docks.tune.form.choose(steps=20)
    docks.finetune()
    assert docks.tune.result is not None


def test_cancelled_it_keeps_the_best_so_far_if_wanted(docks):
    own = begin_to_learn(docks)
    docks.tune.panel.cancel.click()
    docks.tune.stop_bar.keep.click()
    docks.until(lambda: not docks.tune.learning.is_running)
    docks.until(lambda: not docks.tune.outcome.is_filling)
    assert 0 < docks.tune.result.tuned.steps < 2000
    assert " steps, " in docks.tune.panel.state.text()
    assert contrast(docks.map_of("malignant")) > contrast(own)


def test_it_goes_on_after_a_pause_or_a_mistaken_cancel_and_draws_every_step(docks, qtbot):
    begin_to_learn(docks)
    docks.tune.panel.cancel.click()
    docks.tune.stop_bar.go_on.click()
    docks.tune.panel.pause.click()
    assert docks.tune.panel.bar.format() == "paused"
    qtbot.wait(200)
    there = docks.tune._learning.done
    qtbot.wait(300)
    assert docks.tune._learning.done == there
    docks.tune.panel.pause.click()
    # Two thousand steps and their curves, on a busy machine too.
    docks.until(lambda: not docks.tune.learning.is_running, timeout=120_000)
    docks.until(lambda: not docks.tune.outcome.is_filling)
    assert docks.tune.result.tuned.steps == 2000
    steps, losses = docks.tune.curves.loss.getData()
    assert len(steps) == len(losses) == 2000
    steps, right = docks.tune.curves.accuracy.getData()
    assert len(steps) == 40
    assert np.all((right >= 0) & (right <= 1))


def test_a_time_limit_ends_it(docks, monkeypatch):
    # By this clock a step takes an eighth of a second, on whatever machine.
    clock = SimpleNamespace(monotonic=itertools.count(0.0, 0.125).__next__)
    monkeypatch.setattr("napari_smse.finetuning.fine_tuner.time", clock)
    docks.run_score()
    docks.draw_both()
    docks.tune.form.choose(steps=2000)
    docks.tune.form.choose(time_limit=1)
    docks.finetune()
    assert docks.tune.result.tuned.steps == 8


@pytest.mark.parametrize("trainable", ["augmented head", "stage", "all"])
def test_a_trunk_that_learns_has_the_slide_scored_again(docks, trainable):
    docks.run_score()
    docks.draw_both()
    own = docks.map_of("malignant")
    docks.tune.form.choose(trainable=trainable)
    docks.tune.form.choose(steps=200 if trainable == "augmented head" else 10)
    docks.tune.form.choose(learning_rate=0.01)
    docks.finetune()
    assert docks.tune.result is not None, docks.tune.panel.problem.text()
    assert docks.tune.result.tuned.heads is None
    tuned = docks.map_of("malignant")
    assert np.array_equal(np.isnan(tuned), np.isnan(own))
    assert np.nanmax(np.abs(tuned - own)) > 0.01
    docks.tune.outcome.back.click()
    np.testing.assert_allclose(docks.map_of("malignant"), own, atol=1e-6)


def test_before_after_and_change_are_shown(docks):
    docks.run_score()
    docks.draw_both()
    own = docks.map_of("malignant")
    docks.finetune()
    tuned = docks.map_of("malignant")
    told = docks.score.live.cursor.describe((16.0, 16.0))
    assert f"P(malignant) {tuned[1, 1]:.2f}" in told
    view = docks.tune.outcome.view
    view.setCurrentText("Before")
    np.testing.assert_allclose(docks.map_of("malignant"), own, atol=1e-6)
    view.setCurrentText("Change")
    (change,) = layers_of_kind(docks.viewer, LayerKind.DIFFERENCE)
    assert change.visible
    np.testing.assert_allclose(change.data, tuned - own, atol=1e-5)
    seen = [one for one in layers_of_kind(docks.viewer, LayerKind.HEAT_MAP) if one.visible]
    assert seen == []
    view.setCurrentText("After")
    assert not any(is_of_kind(one, LayerKind.DIFFERENCE) for one in docks.viewer.layers)
    np.testing.assert_allclose(docks.map_of("malignant"), tuned, atol=1e-6)


def test_flipped_tiles_are_listed_with_pictures_and_flown_to(docks):
    docks.run_score()
    docks.draw_both()
    docks.tune.form.choose(steps=400)
    docks.finetune()
    flipped = docks.tune.outcome.flipped
    assert "tiles are called otherwise" in flipped.title.text()
    assert flipped.list.count() > 5
    assert "→" in flipped.list.item(0).text()
    docks.until(lambda: not flipped.pictures.task.is_running)
    assert all(not flipped.list.item(row).icon().isNull() for row in range(flipped.list.count()))
    flipped.list.setCurrentRow(2)
    region = flipped.tiles[2].region
    centre = (region.y + region.height / 2 - 0.5) * 0.5, (region.x + region.width / 2 - 0.5) * 0.5
    assert docks.viewer.scene.camera.center[-2:] == pytest.approx(centre)


def test_a_wrong_label_is_corrected_and_taken_by_the_next_run(docks):
    docks.run_score()
    docks.draw_both()
    docks.finetune()
    strip = docks.tune.outcome.triplets
    assert strip.table.rowCount() > 0
    assert not strip.fix.isEnabled()
    docks.until(lambda: not strip.pictures.task.is_running)
    assert not strip.table.item(0, 2).icon().isNull()
    strip.table.setCurrentCell(0, 0)
    before = strip.table.item(0, 0).text()
    assert strip.classes.currentText() != before
    number = len(docks.tune.result.tuning.labelled_set.images)
    strip.ignore.click()
    assert "1 tile corrected" in strip.corrections.text()
    docks.finetune()
    assert len(docks.tune.result.tuning.labelled_set.images) == number - 1
    strip.table.setCurrentCell(0, 0)
    place = strip.chosen.region
    name = strip.classes.currentText()
    strip.fix.click()
    docks.finetune()
    data = docks.tune.result.tuning.labelled_set
    (image,) = (one for one in data.images if one.region == place)
    assert data.classes[image.label] == name
    strip.forget.click()
    docks.finetune()
    assert len(docks.tune.result.tuning.labelled_set.images) == number


def test_scoring_and_training_take_turns(docks, told):
    docks.run_score()
    docks.draw_both()
    docks.tune.form.choose(steps=2000)
    docks.tune.panel.run.click()
    docks.score.panel.run.click()
    assert not docks.score.scoring.is_running
    assert "A model is being fine-tuned" in docks.score.panel.problem.text()
    docks.tune.panel.cancel.click()
    if not docks.tune.stop_bar.isHidden():
        docks.tune.stop_bar.restore.click()
    docks.score.form.again.setChecked(True)
    docks.score.panel.run.click()
    docks.tune.panel.run.click()
    assert "A slide is being scored" in docks.tune.panel.problem.text()
    docks.until(lambda: not docks.score.scoring.is_running)
    docks.tune.form.choose(steps=20)
    docks.finetune()
    assert docks.tune.result is not None


def test_what_is_missing_is_said(docks, told):
    docks.finetune()
    assert "First score a slide" in told[-1]
    docks.run_score()
    docks.finetune()
    assert "First score a slide" in told[-1]
    docks.draw(0, (0, 0, 320, 256))
    docks.finetune()
    assert "No image of class malignant" in told[-1]
    docks.draw(1, (576, 0, 320, 256))
    docks.finetune()
    assert "draw at least two regions of every class" in told[-1]
    assert docks.tune.result is None


def test_several_slides_are_held_out_whole(docks, tmp_path, until):
    docks.run_score()
    docks.draw_both()
    docks.viewer.open(write_red_slide(tmp_path, "second", 1), plugin="napari-smse")
    docks.score.form.slide.setCurrentIndex(docks.score.form.slide.findText("second"))
    docks.annotate.slides.setCurrentIndex(docks.annotate.slides.findText("second"))
    until(lambda: "to score:" in docks.score.panel.count.text())
    docks.run_score()
    docks.draw_both()
    docks.finetune()
    assert docks.tune.result is not None, docks.tune.panel.problem.text()
    assert not docks.tune.panel.warning.text()
    assert len(docks.tune.result.maps) == 2


def test_the_old_result_is_grey_while_a_new_fine_tuning_runs(docks):
    docks.run_score()
    docks.draw_both()
    docks.finetune()
    outcome = docks.tune.outcome
    parts = (outcome.tabs, outcome.view, outcome.save, outcome.back)
    assert outcome.outdated.isHidden()
    assert all(part.isEnabled() for part in parts)
    docks.tune.form.choose(steps=2000)
    docks.tune.panel.run.click()
    assert not outcome.outdated.isHidden()
    assert "a new one runs" in outcome.outdated.text()
    assert not any(part.isEnabled() for part in parts)
    docks.tune.panel.cancel.click()
    if not docks.tune.stop_bar.isHidden():
        docks.tune.stop_bar.restore.click()
    assert outcome.outdated.isHidden()
    assert all(part.isEnabled() for part in parts)
    assert docks.tune.result is not None


def test_what_was_missing_is_not_said_any_more_once_something_is_drawn(docks, told):
    docks.run_score()
    docks.finetune()
    assert "First score a slide" in docks.tune.panel.problem.text()
    docks.draw(0, (0, 0, 320, 256))
    assert not docks.tune.panel.problem.text()
