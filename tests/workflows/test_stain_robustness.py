from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from napari_smse.errors import DataError, ModelError, QueryError
from napari_smse.models import Model
from napari_smse.progress import run_task
from napari_smse.slides import Region, open_slide
from napari_smse.workflows import score_slide, stain_robustness
from napari_smse.workflows.batch_effect import measure_batch_effect
from napari_smse.workflows.stain_robustness import StainRobustness, measure_stain_robustness
from support.annotated_slides import (
    PINK_BOXES,
    RED_BOXES,
    asked,
    drawn,
    red_slide,
    write_darker_slide,
)
from support.docks import seeing_model
from support.models import redness_model
from support.slides import write_pyramid_tiff


@pytest.fixture
def slides(redness, tmp_path):
    """A slide, and one of a laboratory that stains more."""
    return [red_slide(tmp_path), asked(write_darker_slide(tmp_path))]


def measured(slides, *args):
    found = run_task(measure_stain_robustness(slides, *args))
    assert isinstance(found, StainRobustness)
    return found


def threads():
    return [one for one in threading.enumerate() if one.name.startswith("stain-anew")]


def test_slides_that_differ_by_stain_only_are_not_told_without_it(slides):
    found = measured(slides)
    before, after = found.effects.before.slide, found.effects.after.slide
    assert before.accuracy > 0.95
    assert after.accuracy < 0.75
    assert found.effects.stain_share > 0.5
    assert (found.slides, found.tiles) == (2, 2 * 16 * 12)
    # All tiles were compared both times, so that it is the plain measurement.
    plain = measure_batch_effect(slides)
    assert found.effects.before == plain.effect


def test_slides_that_differ_otherwise_are_still_told(redness, tmp_path, monkeypatch):
    """The model sees how even a tile is, and one of the slides is noisy."""

    class Evenness(type(redness.network)):
        def forward(self, images):
            found = super().forward(images)
            noise = images.float().std(dim=(2, 3))
            found.embedding[:, 0] = (noise.mean(dim=1) > 12).float() * 50
            found.embedding[:, 1:] /= 50
            return found

    even = Model(Evenness(), redness.card, redness.path)
    monkeypatch.setattr(score_slide, "load_cached_model", lambda _: even)
    path = write_darker_slide(tmp_path)
    even_one, noisy = red_slide(tmp_path), asked(_noisy(path))
    found = measured([even_one, noisy], 80)
    assert found.effects.before.slide.accuracy > 0.95
    assert found.effects.after.slide.accuracy > 0.8
    assert "is not stain" in found.effects.sentence


def _noisy(path):
    with open_slide(path) as slide:
        pixels = slide.read(Region(0, 0, slide.width, slide.height), slide.mpp).astype(float)
    pixels += np.random.default_rng(3).normal(scale=50, size=pixels.shape)
    noisy = path.with_name("noisy.tif")
    write_pyramid_tiff(noisy, pixels.clip(0, 255).astype(np.uint8), mpp=0.5)
    return noisy


def test_a_sample_of_each_slide_is_taken_and_its_own_figure_goes_before(slides):
    found = measured(slides, 40)
    assert found.tiles == 80
    again = measured(slides, 40)
    assert found.effects == again.effects


def test_it_says_how_far_it_is(slides):
    steps = list(measure_stain_robustness(slides, 20))
    messages = [step.message for step in steps if step.message]
    assert messages[0] == "Loading the model …"
    assert messages[1] == "Reading the stain of each slide …"
    numbers = [step for step in steps if not step.message]
    assert (numbers[-1].done, numbers[-1].total) == (40, 40)
    assert len(numbers) > 1


def test_classes_are_those_drawn_if_there_are_any(slides):
    both = drawn(benign=PINK_BOXES, malignant=RED_BOXES)
    found = measured([replace(one, annotations=both) for one in slides])
    assert found.by_drawing
    assert found.tiles == 120


def test_stopping_half_way_leaves_no_thread(slides):
    running = measure_stain_robustness(slides)
    for step in running:
        if not step.message:
            break
    assert threads()
    running.close()
    assert threads() == []


def test_nothing_is_loaded_if_there_is_nothing_to_compare(slides, monkeypatch):
    monkeypatch.setattr(score_slide, "load_cached_model", lambda _: pytest.fail("loaded"))
    with pytest.raises(QueryError, match="at least two slides"):
        measured(slides[:1])
    both = drawn(benign=PINK_BOXES, malignant=RED_BOXES)
    with pytest.raises(QueryError, match="one slide only"):
        measured([replace(slides[0], annotations=both), slides[1]])


def test_another_model_in_its_place_is_refused(slides, monkeypatch):
    monkeypatch.setattr(score_slide, "load_cached_model", lambda _: redness_model(tile_px=32))
    with pytest.raises(ModelError, match="not the model any more"):
        measured(slides)


def test_a_model_that_is_gone_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(score_slide, "runs_folder", lambda: tmp_path / "runs")
    path = seeing_model(tmp_path).path
    slides = [
        red_slide(tmp_path, model=str(path)), asked(write_darker_slide(tmp_path), model=str(path))
    ]  # fmt: skip
    assert measured(slides, 20).tiles == 40
    for one in path.parent.glob("mini*"):
        one.unlink()
    with pytest.raises(ModelError, match="There is no model"):
        measured(slides, 20)
    assert threads() == []


def test_a_slide_that_is_not_the_one_that_was_scored_is_told(slides, tmp_path):
    green = tmp_path / "green.tif"
    write_pyramid_tiff(green, np.full((768, 1536, 3), (60, 200, 40), np.uint8), mpp=0.5)
    with open_slide(green) as other, pytest.raises(DataError, match="green are not what they were"):
        measured([slides[0], replace(slides[1], slide=other)])
    assert threads() == []


def test_many_slides_share_what_is_read_at_most(slides, monkeypatch):
    monkeypatch.setattr(stain_robustness, "_IN_ALL", 70)
    assert measured(slides).tiles == 70
