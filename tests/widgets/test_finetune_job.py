"""Fine-tuning from the viewer and from a shell is the same."""

from __future__ import annotations

import pytest
import torch

from annotated_folder import annotate, write_red_slide
from annotating_docks import seeing_model
from napari_smse.exchange import read_annotations
from napari_smse.learning.fine_tuning import FineTuning, tuning_recipe
from napari_smse.learning.scored_annotations import scored_annotations
from napari_smse.learning.tuning_history import TuningHistory
from napari_smse.scoring import ScoreRequest, choose_device
from napari_smse.slides import open_slide
from napari_smse.widgets import finetune_job, score_job
from napari_smse.widgets.finetune_job import FineTuneJob, ScoredSlide, Tuned, TuningWish
from napari_smse.widgets.score_job import ScoreJob, Started


def last(running):
    """What a generator returns."""
    while True:
        try:
            next(running)
        except StopIteration as end:
            return end.value


@pytest.fixture
def model(monkeypatch, tmp_path):
    made = seeing_model(tmp_path)
    for place in (score_job, finetune_job):
        monkeypatch.setattr(place, "load_model", lambda _name: made)
    monkeypatch.setattr(score_job, "runs_folder", lambda: tmp_path / "runs")
    return made


def scored(path):
    """A slide as the viewer scores it, with its annotations."""
    slide = open_slide(path)
    job = ScoreJob(slide, "mini", ScoreRequest((0.5,)), "cpu")
    for said in job.run():
        if isinstance(said, Started):
            started = said
            started.shown.set()
    return ScoredSlide(slide, started, read_annotations(path.with_suffix(".geojson")).regions())


@pytest.mark.parametrize("learns", ["head", "stage"])
def test_the_viewer_and_the_shell_learn_the_same(tmp_path, model, learns):
    (tmp_path / "slides").mkdir()
    paths = [write_red_slide(tmp_path / "slides", f"s{i}", i) for i in range(3)]
    for path in paths:
        annotate(path)
    steps = 30 if learns == "head" else 3
    history = TuningHistory(tmp_path / "history")
    wish = TuningWish("pair", steps=steps, learns=learns)
    job = FineTuneJob([scored(path) for path in paths], wish, "cpu", history)
    *_, viewers = job.run()
    assert isinstance(viewers, Tuned)
    running = scored_annotations(tmp_path / "slides", model, choose_device("cpu"))
    tiles = last(running)
    recipe = tuning_recipe("pair", learns, steps=steps)
    tuning = FineTuning(model, tiles.labelled_set, recipe, known=tiles.known)
    shells = last(tuning.run())
    assert tuning.testing == viewers.tuning.testing
    torch.testing.assert_close(
        viewers.tuned.after.held_out.logits, shells.after.held_out.logits, atol=1e-4, rtol=1e-3
    )
    # And it is in the history, which the viewer lists.
    (entry,) = history.entries()
    assert entry.path == viewers.kept
    assert (entry.loss, entry.learns) == ("pair", learns)


def test_a_full_disk_loses_the_history_only(tmp_path, model):
    path = annotate(write_red_slide(tmp_path, "s", 0))
    (tmp_path / "file").write_text("")
    history = TuningHistory(tmp_path / "file" / "history")
    job = FineTuneJob([scored(path)], TuningWish(steps=3), "cpu", history)
    *_, found = job.run()
    assert found.kept is None
    assert any("could not be kept in the history" in warning for warning in found.warnings)
    assert found.tuned.heads is not None
