"""A fine-tuning from images to a network with figures."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.errors import DataError, TrainingError
from napari_smse.finetuning.fine_tuner import FineTuner
from napari_smse.finetuning.result import FineTuneProgress, FineTuneResult
from napari_smse.finetuning.saving import differences, save_fine_tuned
from napari_smse.finetuning.setup import fine_tune_recipe
from napari_smse.models import Model, ModelCard, SmseCnn, load_model, save_model
from napari_smse.models.card import case_hash
from napari_smse.progress import run_task
from napari_smse.similarity.bank_file import bank_of_weights, model_bank_path, save_bank
from napari_smse.training.embeddings import embed_images
from napari_smse.training.exemplar_selection import choose_exemplars
from support.training import TRUNK, mini_network, mini_set

CARD = ModelCard(
    name="mini",
    version="3",
    classes=("benign", "malignant"),
    tile_px=32,
    mpp_range=(0.4, 0.7),
    trunk=TRUNK,
    embedding_dim=4,
)


@pytest.fixture
def data(tmp_path: Path) -> LabelledSet:
    return mini_set(tmp_path / "data", cases=6)


@pytest.fixture
def model(tmp_path: Path) -> Model:
    (tmp_path / "models").mkdir()
    return load_model(save_model(mini_network(), CARD, tmp_path / "models" / "mini"))


def finished(running: Generator[FineTuneProgress, None, FineTuneResult]) -> FineTuneResult:
    return run_task(running)


def renamed(data: LabelledSet, *names: str) -> LabelledSet:
    return replace(data, classes=names)


def with_exemplars(model: Model, data: LabelledSet) -> Model:
    tiles, _ = run_task(embed_images(model.network, data, range(len(data.images)), 32))
    found = replace(choose_exemplars(tiles), model=model.card.weights_sha256)
    save_bank(found, model_bank_path(model.path))
    return model


@pytest.mark.parametrize("similarity", ["pair", "triplet"])
@pytest.mark.parametrize("learns", ["head", "stage", "all"])
def test_held_out_cases_are_predicted_better(
    data: LabelledSet, model: Model, similarity: str, learns: str
) -> None:
    held = {name: value.clone() for name, value in model.network.state_dict().items()}
    steps = {"head": 500, "stage": 30, "all": 30}[learns]
    recipe = fine_tune_recipe(
        similarity, learns, steps=steps, learning_rate=0.02, trunk_learning_rate=0.002, tile_px=32
    )
    tuning = FineTuner(model, data, recipe)
    running = tuning.run()
    first = next(running)
    assert (first.stage, first.done, first.total) == ("reading", 1, len(tuning.training))
    tuned = finished(running)
    assert sorted(tuned.after.held_out.images) == sorted(tuning.testing)
    found = differences(tuning, tuned)
    assert found["accuracy"].value is not None
    # Two cases of three images of a class are held out.
    assert "lacks" in found["auc"].reason
    before, after = tuned.before.held_out, tuned.after.held_out
    labels = [data.images[i].label for i in after.images]
    truth = torch.tensor(labels)
    losses = [float(functional.cross_entropy(one.logits, truth)) for one in (before, after)]
    assert losses[1] < losses[0]
    # The model is as it was, and trains, if at all, in a copy.
    for name, value in model.network.state_dict().items():
        assert torch.equal(value, held[name]), name
    assert all(parameter.device.type == "cpu" for parameter in tuned.network.parameters())


def test_training_and_held_out_cases_are_apart(data: LabelledSet, model: Model) -> None:
    tuning = FineTuner(model, data, fine_tune_recipe())
    cases = [{data.images[i].case for i in part} for part in (tuning.training, tuning.testing)]
    assert cases[0].isdisjoint(cases[1])
    assert not tuning.warnings


def test_what_it_came_from_is_on_the_card(data: LabelledSet, model: Model, tmp_path: Path) -> None:
    tuning = FineTuner(
        with_exemplars(model, data), data, fine_tune_recipe(steps=20, learning_rate=0.02)
    )
    tuned = finished(tuning.run())
    assert tuned.exemplar_accuracy is not None
    path = save_fine_tuned(tuning, tuned, tmp_path / "models" / "mine")
    loaded = load_model(path)
    assert loaded.card.parent.startswith("mini 3, weights ")
    assert loaded.card.classes == CARD.classes
    figures = {(figure.data, figure.metric): figure.value for figure in loaded.card.figures}
    assert figures["exemplars, before", "accuracy"] == pytest.approx(
        tuned.exemplar_accuracy[0].value, abs=1e-3
    )
    assert ("held out, after minus before", "accuracy difference") in figures
    (source, *_) = loaded.card.training
    assert sum(source.images.values()) > 0
    # What it says of pixels is what the tuned heads said of embeddings.
    image = data.images[tuning.testing[0]]
    _, logits = run_task(embed_images(loaded.network, data, [tuning.testing[0]], 32))
    row = tuned.after.held_out.images.tolist().index(data.images.index(image))
    torch.testing.assert_close(
        logits.mean(0), tuned.after.held_out.logits[row], rtol=2e-2, atol=2e-2
    )
    kept = bank_of_weights(loaded.path, loaded.card.weights_sha256)
    assert kept is not None
    assert len(kept) > len(tuned.exemplars) / 2
    assert set(kept.cases) == {one.case for one in data.images}


def test_new_classes_get_a_head_of_their_own_and_that_is_said(
    data: LabelledSet, model: Model, tmp_path: Path
) -> None:
    other = renamed(data, "fat", "nerve")
    tuning = FineTuner(with_exemplars(model, data), other, fine_tune_recipe(steps=20))
    assert "new class head for fat, nerve" in tuning.warnings[0]
    tuned = finished(tuning.run())
    assert tuned.exemplar_accuracy is None
    loaded = load_model(save_fine_tuned(tuning, tuned, tmp_path / "models" / "other"))
    assert loaded.card.classes == ("fat", "nerve")
    assert bank_of_weights(loaded.path, loaded.card.weights_sha256).classes == ("fat", "nerve")


def test_classes_are_known_by_name_whatever_their_order(data: LabelledSet, model: Model) -> None:
    swapped = replace(
        renamed(data, "Malignant", "Benign"),
        images=tuple(replace(one, label=1 - one.label) for one in data.images),
    )
    tuning = FineTuner(model, swapped, fine_tune_recipe())
    assert tuning.labelled_set.classes == CARD.classes
    assert [image.label for image in tuning.labelled_set.images] == [
        one.label for one in data.images
    ]


def test_cases_the_model_knows_are_pointed_out(data: LabelledSet, model: Model) -> None:
    from napari_smse.models import TrainingSource

    hashes = tuple(case_hash(case) for case in data.cases)
    source = TrainingSource(name="x", organ="", scanner="", licence="", case_hashes=hashes)
    known = replace(model, card=model.card.model_copy(update={"training": (source,)}))
    (warning,) = FineTuner(known, data, fine_tune_recipe()).warnings
    assert "4 of the held-out cases" in warning


def test_what_cannot_be_tuned_is_refused(data: LabelledSet, model: Model) -> None:
    with pytest.raises(TrainingError, match="takes whole images"):
        FineTuner(replace(model, network=SmseCnn()), data, fine_tune_recipe())
    benign = replace(data, images=tuple(image for image in data.images if image.label == 0))
    with pytest.raises(DataError, match="No image of class malignant"):
        FineTuner(model, benign, fine_tune_recipe())
    with pytest.raises(TrainingError, match="margin: Input should be greater than 0"):
        fine_tune_recipe(margin=-1)


def test_closing_it_half_way_leaves_the_model_alone(data: LabelledSet, model: Model) -> None:
    held = {name: value.clone() for name, value in model.network.state_dict().items()}
    running = FineTuner(model, data, fine_tune_recipe("triplet", "all", tile_px=32)).run()
    for progress in running:
        if progress.stage == "learning" and progress.done:
            break
    running.close()
    for name, value in model.network.state_dict().items():
        assert torch.equal(value, held[name]), name


def test_held_out_images_are_looked_at_while_it_learns(data: LabelledSet, model: Model) -> None:
    tuning = FineTuner(model, data, fine_tune_recipe("triplet", steps=80, learning_rate=0.02))
    seen: list[FineTuneProgress] = []
    tuned = run_task(tuning.run(), seen.append)
    checks = [progress.check for progress in seen if progress.check]
    assert [check.step for check in checks] == list(range(2, 81, 2))
    # The last look and the judgement after it see the same heads.
    after = tuned.after.held_out
    labels = torch.tensor([data.images[i].label for i in after.images])
    right = (after.logits.argmax(dim=1) == labels).float().mean()
    assert checks[-1].accuracy == pytest.approx(float(right))
    assert len({check.separation for check in checks}) > 1
    assert all(-2 <= check.separation <= 2 for check in checks)


def test_a_trunk_that_learns_is_looked_at_too(data: LabelledSet, model: Model) -> None:
    said = list(FineTuner(model, data, fine_tune_recipe("pair", "stage", steps=10)).run())
    assert [one.check.step for one in said if one.check] == [2, 4, 6, 8]


def stopped_at(tuning: FineTuner, step: int) -> FineTuneResult:
    def stop(progress: FineTuneProgress) -> None:
        if progress.stage == "learning" and progress.done == step:
            tuning.stop()

    return run_task(tuning.run(), stop)


@pytest.mark.parametrize("learns", ["head", "stage"])
def test_stopped_it_keeps_what_was_learnt_so_far(
    data: LabelledSet, model: Model, learns: str
) -> None:
    found = stopped_at(FineTuner(model, data, fine_tune_recipe("triplet", learns, steps=500)), 7)
    assert found.steps == 7
    assert len(found.after.held_out) == len(found.before.held_out)
    assert found.after.held_out.logits.isfinite().all()


def test_stopped_in_a_bad_moment_the_best_heads_are_kept(data: LabelledSet, model: Model) -> None:
    # A rate so high that it leaves the good heads again at once.
    recipe = fine_tune_recipe("triplet", steps=500, learning_rate=30.0, clip_norm=0.0)
    found = stopped_at(FineTuner(model, data, recipe, replay_weight=0.0), 3)
    start = stopped_at(FineTuner(model, data, fine_tune_recipe(steps=500, learning_rate=1e-9)), 1)
    labels = torch.tensor([data.images[i].label for i in found.after.held_out.images])
    loss = torch.nn.functional.cross_entropy
    ends = [loss(one.after.held_out.logits, labels) for one in (found, start)]
    assert ends[0] < ends[1] + 1


def test_a_time_budget_ends_it(
    data: LabelledSet, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(10_000))
    monkeypatch.setattr("napari_smse.finetuning.fine_tuner.time.monotonic", lambda: next(clock))
    tuning = FineTuner(model, data, fine_tune_recipe(steps=500), seconds=5)
    # By this clock a step takes a second.
    assert finished(tuning.run()).steps == 5
