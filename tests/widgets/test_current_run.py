"""After a fine-tuning or another colouring: what is shown, saved and explained is of one model."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from napari_smse.errors import OutputError
from napari_smse.finetuning.history import FineTuneHistory
from napari_smse.models import read_card
from napari_smse.scoring import ScoreStore
from napari_smse.widgets.embedding_map.dock import EmbeddingMapDock
from napari_smse.widgets.evidence.dock import EvidenceDock
from napari_smse.widgets.finetune.result_panel import AFTER, BEFORE
from napari_smse.widgets.score import dock as score_dock
from napari_smse.workflows import out_of_distribution
from napari_smse.workflows.out_of_distribution import OodScores

pytestmark = pytest.mark.gui
NEAREST = 2


@pytest.fixture
def evidence(docks, monkeypatch):
    def measure_ood(_slide, _started, tiles, _bank=None):
        return OodScores(np.zeros(len(tiles), np.float32))
        yield

    monkeypatch.setattr(out_of_distribution, "measure_ood", measure_ood)
    made = EvidenceDock(docks.viewer)
    docks.viewer.window.add_dock_widget(made)
    yield made
    made.close()


@pytest.fixture
def problems(monkeypatch):
    texts = []
    monkeypatch.setattr(score_dock, "show_error", texts.append)
    return texts


@pytest.fixture
def tuned(docks, evidence):
    """The slide scored, then a model fine-tuned on it; the tuned one is in force."""
    docks.run_score()
    docks.draw_both()
    docks.tune.form.choose(steps=60)
    docks.finetune()
    settle(docks, evidence)
    return docks


def settle(docks, evidence):
    docks.until(lambda: not any(task.is_running for task in evidence._tasks))


def saved(docks, folder):
    """Save; return the record and the probabilities of the tables and of the store."""
    docks.score.save_to(folder)
    docks.until(lambda: not docks.score.saver.task.is_running)
    at = folder / "slide"
    table = pq.read_table(at / "tiles.parquet")
    store = ScoreStore.open(at / "scores.zarr")
    record = json.loads((at / "run.json").read_text())
    return record, table["p_malignant"].to_numpy(), store


def shown(docks):
    (scale,) = docks.score.live.layers.maps.scores()
    return scale.probability[:, 1]


def test_save_writes_the_tuned_model_or_the_one_before_as_shown(tuned, tmp_path):
    outcome = tuned.tune.outcome
    found = {}
    for which in (AFTER, BEFORE):
        outcome.view.setCurrentText(which)
        record, table, store = saved(tuned, tmp_path / which)
        np.testing.assert_array_equal(table, shown(tuned))
        np.testing.assert_array_equal(store.scale(0).probability[:, 1], table)
        assert store.facts["model"]["hash"] == record["model"]["weights_sha256"]
        found[which] = record["model"], table
    assert not np.array_equal(found[AFTER][1], found[BEFORE][1])
    kept = read_card(tuned.tune.result.saved_path)
    assert found[AFTER][0]["name"] == kept.name
    assert found[AFTER][0]["weights_sha256"] == kept.weights_sha256
    assert found[BEFORE][0]["name"] == "mini"


def test_what_was_saved_of_a_tuned_model_is_what_it_answers(tuned, tmp_path):
    """Its embeddings lead to its probabilities by its own class head."""
    import torch

    from napari_smse.models import load_model

    _, table, store = saved(tuned, tmp_path)
    head = load_model(str(tuned.tune.result.saved_path)).network.class_head
    with torch.no_grad():
        logits = head(torch.from_numpy(store.scale(0).embedding.astype(np.float32)))
    np.testing.assert_allclose(torch.softmax(logits, 1)[:, 1].numpy(), table, atol=2e-3)


def test_a_model_that_was_kept_gives_its_name_to_what_is_saved(tuned, tmp_path):
    tuned.tune.save_to(tmp_path / "mine.safetensors")
    tuned.until(lambda: not tuned.tune.actions.task.is_running)
    record, table, store = saved(tuned, tmp_path / "results")
    assert record["model"]["name"] == store.facts["model"]["name"] == "mine"
    np.testing.assert_array_equal(table, shown(tuned))
    tuned.score.session.run_changed.emit(tuned.score.form.slide_layer)
    assert "Scored by mine 1, fine-tuned from mini" in tuned.score.panel.state.text()


def test_rolled_back_the_first_model_is_in_force_again(tuned, evidence, tmp_path):
    assert "fine-tuned from mini" in evidence.model.text()
    assert evidence.read.model == read_card(tuned.tune.result.saved_path).weights_sha256
    tuned.tune.outcome.roll_back()
    settle(tuned, evidence)
    assert evidence.model.text() == "Model: mini 1"
    record, table, _ = saved(tuned, tmp_path)
    assert record["model"]["name"] == "mini"
    np.testing.assert_array_equal(table, shown(tuned))


def test_evidence_answers_for_the_model_in_force(tuned, evidence):
    read = evidence.read
    x, y, width, height = (int(side) for side in read.tiles.places[0])
    evidence.evidence.point_at(x + width / 2, y + height / 2)
    told = evidence.evidence.found[0]
    assert told.probability["malignant"] == pytest.approx(shown(tuned)[0])
    assert told.probability["malignant"] != pytest.approx(
        tuned.tune.result.slides[0].before.scores()[0].probability[0, 1], abs=1e-3
    )


def test_the_embedding_map_follows_the_model_in_force(docks, evidence):
    space = EmbeddingMapDock(docks.viewer)
    docks.viewer.window.add_dock_widget(space)
    docks.run_score()
    docks.draw_both()
    docks.until(lambda: space.space is not None and not space.mapping.is_running)
    assert "scored by mini 1" in space.state.text()
    docks.finetune()
    kept = read_card(docks.tune.result.saved_path)
    docks.until(lambda: space.space.card.weights_sha256 == kept.weights_sha256)
    docks.until(lambda: not space.mapping.is_running)
    assert kept.name in space.state.text()
    space.close()


def test_fine_tuning_again_begins_with_the_model_that_scored_the_slide(tuned):
    """What the tuned model learnt from would be held out now."""
    first = tuned.tune.result
    tuned.finetune()
    second = tuned.tune.result
    assert second is not first
    assert second.tuning.model.card.name == "mini"
    np.testing.assert_array_equal(
        second.slides[0].before.scores()[0].probability,
        first.slides[0].before.scores()[0].probability,
    )


def test_maps_by_known_tiles_are_saved_as_they_are_shown(docks, evidence, tmp_path):
    docks.run_score()
    docks.draw_both()
    docks.until(lambda: evidence.read is not None)
    settle(docks, evidence)
    evidence.bank.add.click()
    settle(docks, evidence)
    head = shown(docks).copy()
    evidence.colour_by.choice.setCurrentIndex(NEAREST)
    settle(docks, evidence)
    assert not np.array_equal(shown(docks), head)
    record, table, store = saved(docks, tmp_path)
    np.testing.assert_array_equal(table, shown(docks))
    np.testing.assert_array_equal(store.scale(0).probability[:, 1], table)
    assert record["classifier"].startswith("nearest reference tile of mini")
    evidence.colour_by.choice.setCurrentIndex(0)
    settle(docks, evidence)
    record, table, _ = saved(docks, tmp_path / "again")
    assert record["classifier"] == "class head"
    np.testing.assert_array_equal(table, head)


def test_scores_that_cannot_be_saved_are_refused_with_the_reason(
    docks, monkeypatch, tmp_path, problems
):
    def full(*_args, **_more):
        raise OutputError("the disk is full.")

    monkeypatch.setattr(FineTuneHistory, "add", full)
    docks.run_score()
    docks.draw_both()
    docks.finetune()
    assert "the disk is full" in docks.tune.panel.warning.text()
    docks.score.save_to(tmp_path / "results")
    assert "could not be written" in problems[-1]
    assert not (tmp_path / "results").exists()
    docks.tune.outcome.view.setCurrentText(BEFORE)
    record, table, _ = saved(docks, tmp_path / "results")
    assert record["model"]["name"] == "mini"
    np.testing.assert_array_equal(table, shown(docks))


def test_a_slide_that_was_scored_anew_keeps_its_new_maps_when_rolled_back(tuned, tmp_path):
    tuned.score.form.options.choose(overlap=0.5)
    tuned.run_score()
    run = tuned.score.shown_run
    tuned.tune.outcome.roll_back()
    assert tuned.score.shown_run is run
    _, table, _ = saved(tuned, tmp_path)
    np.testing.assert_array_equal(table, shown(tuned))


def test_a_trunk_that_learnt_leaves_a_run_of_its_own(docks, tmp_path):
    docks.run_score()
    docks.draw_both()
    form = docks.tune.form
    form.choose(trainable="all")
    form.choose(steps=2)
    docks.finetune()
    assert docks.tune.result is not None, docks.tune.panel.problem.text()
    record, table, _ = saved(docks, tmp_path)
    assert record["model"]["name"] == read_card(docks.tune.result.saved_path).name
    np.testing.assert_array_equal(table, shown(docks))
