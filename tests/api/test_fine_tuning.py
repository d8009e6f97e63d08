"""A model adapted to annotated slides, from a script."""

from __future__ import annotations

import math

import numpy as np
import pytest

import napari_smse as smse
from napari_smse import errors
from napari_smse.annotations import AnnotationSet
from napari_smse.finetuning.history import history_folder


@pytest.fixture(scope="module")
def tuned(mini, scored_by_mini, slide, notes):
    return smse.fine_tune(mini, [(slide, scored_by_mini, notes)], steps=20, device="cpu")


def test_it_says_what_it_was_worth(tuned):
    assert set(tuned.before) == set(tuned.after) == {
        *("auc", "accuracy", "balanced_accuracy", "recall@1", "recall@5"),
    }  # fmt: skip
    assert 0 <= tuned.before["accuracy"].value <= 1
    assert tuned.difference["accuracy"].value == pytest.approx(
        tuned.after["accuracy"].value - tuned.before["accuracy"].value
    )
    for figure in tuned.after.values():
        assert (figure.n, figure.cases) == (tuned.held_out_tiles, 1)
    # One slide is one case.
    assert tuned.after["auc"].value is None
    assert "benign lacks" in tuned.after["auc"].reason
    assert tuned.training_tiles > 0 < tuned.held_out_tiles
    assert any("Regions of the same cases" in one for one in tuned.warnings)
    assert "AUC" in repr(tuned)


def test_the_model_given_is_not_changed(tuned, mini, scored_by_mini, slide):
    tile = slide.read(scored_by_mini.region(0), 0.5)[None]
    before, after = mini.predict(tile, "cpu"), tuned.model.predict(tile, "cpu")
    assert not np.allclose(before, after)
    assert tuned.model.card.parent.startswith("mini 3")
    assert tuned.scores[0].probability("malignant")[0] == pytest.approx(after[0, 1], abs=0.02)


def test_its_scores_and_exemplars_can_be_used(tuned, slide):
    (scores,) = tuned.scores
    assert scores.slide is slide
    bank = smse.ExemplarBank.of_model(tuned.model)
    assert len(bank) > 0
    region = scores.region(0)
    assert smse.explain(scores, region.x + 1, region.y + 1, bank)


def test_it_is_saved_once(tuned, tmp_path, slide, scored_by_mini):
    path = tuned.save(tmp_path / "mine")
    model = smse.load_model(path)
    assert model.card.name == "mine"
    tile = slide.read(scored_by_mini.region(0), 0.5)[None]
    assert model.predict(tile, "cpu") == pytest.approx(tuned.model.predict(tile, "cpu"), abs=5e-3)
    assert len(smse.ExemplarBank.of_model(model)) > 0
    with pytest.raises(errors.OutputError, match="overwrite=True"):
        tuned.save(path)
    assert tuned.save(path, overwrite=True) == path
    with pytest.raises(errors.OutputError, match="folder does not exist"):
        tuned.save(tmp_path / "none" / "mine")


def test_the_viewers_history_is_left_alone(tuned):
    assert tuned.model.path.exists()
    assert not history_folder().exists()


def test_it_comes_out_the_same_again_and_from_scores_read_back(
    tuned, mini, scored_by_mini, slide, notes
):
    back = smse.read_scores(scored_by_mini.path, model=mini.path)
    again = smse.fine_tune(mini, [(slide, back, notes)], steps=20, device="cpu")
    assert {name: one.value for name, one in again.after.items()} == {
        name: one.value for name, one in tuned.after.items()
    }
    assert np.array_equal(
        again.scores[0].probability("malignant"), tuned.scores[0].probability("malignant")
    )


def test_the_trunk_can_learn_too(mini, scored_by_mini, slide, notes):
    back = smse.read_scores(scored_by_mini.path, model=mini.path)
    seen = []
    tuned = smse.fine_tune(
        mini,
        [(slide, back, notes)],
        loss="pair",
        trainable="all",
        steps=2,
        device="cpu",
        progress=seen.append,
    )
    assert {one.message for one in seen} >= {
        "Reading tiles …",
        "Learning …",
        "Checking what was held out …",
    }
    assert not math.isnan(tuned.after["accuracy"].value)
    assert len(tuned.scores[0]) == len(back)


def test_what_progress_raises_stops_it_and_keeps_nothing(mini, scored_by_mini, slide, notes):
    def stop(progress):
        if progress.message == "Learning …":
            raise InterruptedError

    with pytest.raises(InterruptedError):
        smse.fine_tune(mini, [(slide, scored_by_mini, notes)], steps=20, progress=stop)
    assert not history_folder().exists()


def test_what_cannot_be_learnt_from_is_refused(mini, scored, scored_by_mini, slide, notes):
    with pytest.raises(errors.DataError, match="no slide"):
        smse.fine_tune(mini, [])
    with pytest.raises(errors.RequestError, match="scored by redness"):
        smse.fine_tune(mini, [(slide, scored, notes)])
    with pytest.raises(errors.DataError):
        smse.fine_tune(mini, [(slide, scored_by_mini, AnnotationSet())])
    with pytest.raises(errors.TrainingError):
        smse.fine_tune(mini, [(slide, scored_by_mini, notes)], steps=-1)
    with pytest.raises(errors.TrainingError):
        smse.fine_tune(mini, [(slide, scored_by_mini, notes)], loss="circle")
