"""What goes wrong while a model is fine-tuned: it is told, and nothing is lost."""

from threading import Event

import numpy as np
import pytest

from napari_smse.finetuning import fine_tuner
from napari_smse.models import Model, SmseCnn, read_card
from napari_smse.widgets.slide_layers import (
    LayerKind,
    is_of_kind,
)
from napari_smse.workflows import fine_tune
from support.annotated_slides import write_red_slide
from support.docks import contrast
from support.slides import write_pyramid_tiff

pytestmark = pytest.mark.gui


def ready(docks):
    docks.run_score()
    docks.draw_both()
    docks.tune.form.choose(steps=60)


@pytest.fixture
def tune_while(docks, monkeypatch):
    """Fine-tune, and let something happen between the first step and the second."""
    train, first_step, going_on = fine_tuner.train_embedding_heads, Event(), Event()

    def halting(*args, **more):
        for step in train(*args, **more):
            yield step
            first_step.set()
            going_on.wait()

    def tune(meanwhile):
        docks.tune.panel.run.click()
        docks.until(first_step.is_set)
        meanwhile()
        going_on.set()
        docks.until(lambda: not docks.tune.learning.is_running)
        docks.until(lambda: not docks.tune.outcome.is_filling)

    monkeypatch.setattr(fine_tuner, "train_embedding_heads", halting)
    yield tune
    going_on.set()


def test_a_slide_layer_renamed_meanwhile_still_gets_its_maps(docks, tune_while):
    ready(docks)
    own = docks.map_of("malignant")
    layer = docks.annotate.slides.currentData()
    tune_while(lambda: setattr(layer, "name", "another name"))
    assert docks.tune.result is not None
    assert contrast(docks.map_of("malignant")) > contrast(own)


def test_a_slide_layer_removed_meanwhile_costs_only_its_maps(docks, tune_while, tmp_path):
    ready(docks)
    layer = docks.annotate.slides.currentData()
    drawn = docks.annotate.drawing.layer
    tune_while(lambda: docks.viewer.layers.remove(layer))
    assert docks.tune.result is not None
    # Nothing is said of maps that are not there, or of a slide that is not.
    state, count = docks.tune.panel.state, docks.tune.panel.count
    assert "Its slides are closed, and no map shows the tuned model" in state.text()
    assert "slide with regions" not in count.text()
    docks.tune.save_to(tmp_path / "mine")
    docks.until(lambda: "Kept as" in docks.tune.panel.state.text())
    # What was drawn is there, and a click in the lists does no harm.
    assert len(drawn.data) == 4
    docks.tune.outcome.flipped.list.setCurrentRow(0)
    docks.tune.outcome.triplets.table.setCurrentCell(0, 0)
    docks.tune.outcome.view.setCurrentText("Change")
    docks.tune.outcome.back.click()
    assert docks.tune.result is None
    assert state.text() == "Rolled back: no map had shown the tuned model."


def test_an_annotation_layer_removed_meanwhile_changes_nothing(docks, tune_while):
    ready(docks)
    tune_while(lambda: docks.viewer.layers.remove(docks.annotate.drawing.layer))
    assert docks.tune.result is not None
    docks.annotate.undo.click()
    assert len(docks.annotate.drawing.layer.data) == 4


def test_a_slide_that_is_gone_is_told_before_and_harmless_after(docks, tune_while, told, tmp_path):
    ready(docks)
    path = docks.annotate.slide.path
    away = path.rename(tmp_path / "away.tif")
    docks.finetune()
    assert "is gone: put the file back" in told[-1]
    away.rename(path)
    tune_while(lambda: path.rename(away))
    assert docks.tune.result is not None
    away.rename(path)


def test_no_room_on_the_disk_is_told_and_the_result_stays(docks, told, tmp_path, monkeypatch):
    ready(docks)
    docks.finetune()

    def full(*_args, **_more):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("napari_smse.atomic_write.os.replace", full)
        docks.tune.save_to(tmp_path / "mine")
        docks.until(lambda: bool(told))
    assert "mine: the disk is full; free some space" in told[-1]
    assert docks.tune.result is not None
    assert docks.tune.outcome.save.isEnabled()
    assert not list(tmp_path.glob("mine*"))
    docks.tune.save_to(tmp_path / "mine")
    docks.until(lambda: "Kept as" in docks.tune.panel.state.text())
    assert read_card(tmp_path / "mine").parent.startswith("mini 1")


def test_a_network_that_takes_whole_images_is_refused(docks, told, model, monkeypatch):
    ready(docks)
    own = docks.map_of("malignant")
    other = Model(SmseCnn(2), model.card, model.path)
    monkeypatch.setattr(fine_tune, "load_cached_model", lambda _name: other)
    docks.finetune()
    assert "cannot be fine-tuned on tiles" in told[-1]
    assert docks.tune.result is None
    np.testing.assert_array_equal(docks.map_of("malignant"), own)


def test_out_of_memory_says_what_to_do(docks, told, monkeypatch):
    ready(docks)

    def too_much(*_args, **_more):
        raise MemoryError

    with monkeypatch.context() as small:
        small.setattr(fine_tuner, "train_embedding_heads", too_much)
        docks.finetune()
    assert "Not enough memory" in told[-1]
    docks.finetune()
    assert docks.tune.result is not None


def test_slides_of_different_um_per_px_are_learnt_from_together(docks, tmp_path, until):
    docks.run_score()
    docks.draw_both()
    rng = np.random.default_rng(5)
    rgb = np.repeat(np.repeat(pixels(tmp_path), 2, axis=0), 2, axis=1).astype(np.float64)
    rgb = np.clip(rgb + rng.normal(scale=3, size=rgb.shape), 0, 255).astype(np.uint8)
    path = tmp_path / "finer.tif"
    write_pyramid_tiff(path, rgb, mpp=0.25)
    docks.viewer.open(path, plugin="napari-smse")
    docks.score.form.slide.setCurrentIndex(docks.score.form.slide.findText("finer"))
    docks.annotate.slides.setCurrentIndex(docks.annotate.slides.findText("finer"))
    until(lambda: "to score:" in docks.score.panel.count.text())
    docks.run_score()
    docks.draw(0, (0, 0, 640, 512), (0, 1024, 640, 512))
    docks.draw(1, (1152, 0, 640, 512), (1152, 1024, 640, 512))
    docks.finetune()
    result = docks.tune.result
    assert result is not None, docks.tune.panel.problem.text()
    widths = {image.path.stem: image.region.width for image in result.tuning.labelled_set.images}
    assert widths == {"slide": 64, "finer": 128}
    assert {image.mpp_range for image in result.tuning.labelled_set.images} == {(0.5, 0.5)}


def pixels(folder):
    import tifffile

    return tifffile.imread(write_red_slide(folder, "plain", 7))


def test_shapes_without_area_off_the_slide_or_crossing_themselves(docks):
    docks.run_score()
    docks.draw_both()
    layer = docks.annotate.drawing.layer
    docks.annotate.table.choose(0)
    layer.add(np.array([(0.0, 0.0), (50.0, 50.0)]), shape_type="line")
    layer.add(np.array([(5000.0, 5000), (5000, 5100), (5100, 5100)]), shape_type="polygon")
    # A bow tie over pink tissue.
    layer.add(np.array([(260.0, 340), (500, 500), (260, 500), (500, 340)]), shape_type="polygon")
    docks.finetune()
    assert docks.tune.result is not None, docks.tune.panel.problem.text()
    assert len(layer.data) == 7


def test_run_pressed_twice_runs_once(docks):
    ready(docks)
    docks.tune.panel.run.click()
    docks.tune.run()
    docks.until(lambda: not docks.tune.learning.is_running)
    docks.until(lambda: not docks.tune.outcome.is_filling)
    assert len(docks.tune.history.entries) == 1


def test_the_dock_closed_meanwhile_stops_and_lets_others_work(docks, until):
    ready(docks)
    docks.tune.form.choose(steps=2000)
    docks.tune.panel.run.click()
    docks.until(lambda: docks.tune.panel.bar.format().startswith("step"))
    docks.tune.close()
    docks.score.form.again.setChecked(True)
    docks.score.panel.run.click()
    assert docks.score.scoring.is_running
    until(lambda: not docks.score.scoring.is_running)
    assert any(is_of_kind(one, LayerKind.HEAT_MAP) for one in docks.viewer.layers)


@pytest.mark.parametrize("annotating", [True, False])
def test_another_um_per_px_moves_no_region_and_asks_to_score_again(docks, told, annotating):
    ready(docks)
    before = docks.annotate.drawing.annotations()
    if not annotating:
        docks.annotate.close()
    docks.score.form.mpp.setValue(0.4)
    if not annotating:
        docks.annotate = type(docks.annotate)(docks.viewer)
        docks.viewer.window.add_dock_widget(docks.annotate)
    after = docks.annotate.drawing.annotations()
    assert docks.annotate.slide.mpp == 0.4
    assert "0.4 µm/px" in docks.annotate.facts.text()
    assert docks.annotate.recovery.isHidden()
    for one, other in zip(before.annotations, after.annotations, strict=True):
        assert one.id == other.id
        assert one.geometry.equals_exact(other.geometry, 1e-6)
    docks.finetune()
    assert "First score a slide" in told[-1]
    docks.run_score()
    docks.finetune()
    assert docks.tune.result is not None, docks.tune.panel.problem.text()
