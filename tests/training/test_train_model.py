"""From images to a saved model with a card that tells the truth."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_smse.errors import DataError
from napari_smse.evaluation.evaluate import evaluate, exclude_leaked
from napari_smse.metrics.predictions import HeldOutPredictions
from napari_smse.metrics.summary import summarise
from napari_smse.models import SmseCnn, load_model
from napari_smse.models.card import case_hash
from napari_smse.similarity.bank_file import bank_of_weights
from napari_smse.similarity.ood.reference import load_ood_reference
from napari_smse.training.paper.recipe import PaperRecipe
from napari_smse.training.train_model import ModelTrainer, TrainedModel, recipe_facts
from napari_smse.training.trainer import predict_images
from support.training import SMALL, mini_network, mini_set


def making(tmp_path: Path, **options: object) -> ModelTrainer:
    data = mini_set(tmp_path / "images", cases=6)
    return ModelTrainer(
        data, SMALL, mini_network(), tmp_path / "out" / "mine", parent="nothing", **options
    )


def made(tmp_path: Path, **options: object) -> tuple[ModelTrainer, TrainedModel]:
    one = making(tmp_path, **options)
    for _ in one.run():
        pass
    return one, one.finish()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelTrainer, TrainedModel]:
    return made(tmp_path_factory.mktemp("whole"))


def test_the_model_loads_and_its_card_says_what_it_knows(
    whole: tuple[ModelTrainer, TrainedModel],
) -> None:
    one, result = whole
    model = load_model(result.path)
    card = model.card
    assert result.path.name == "mine.safetensors"
    assert result.path.parent.name == "out"
    assert (card.name, card.classes, card.parent) == ("mine", ("benign", "malignant"), "nothing")
    assert card.tile_px == 32
    assert card.mpp_range == (0.4, 0.6)
    assert card.recipe["similarity"] == "triplet"
    assert card.recipe["temperature"] > 0
    assert [source.name for source in card.training] == ["one", "two"]
    assert sum(source.cases_total for source in card.training) == 12
    assert {figure.metric for figure in card.figures} >= {"balanced accuracy", "ece"}
    assert all("weights and the temperature were chosen" in f.how for f in card.figures)
    assert "Research use only" in card.limits[0]
    assert any(one.folder.glob("*.csv"))


def test_exemplars_of_what_it_learnt_from_lie_beside_it(
    whole: tuple[ModelTrainer, TrainedModel],
) -> None:
    one, result = whole
    model = load_model(result.path)
    found = bank_of_weights(result.path, model.card.weights_sha256)
    assert found is not None
    learnt = {image.case for image in one.labelled_set.select(one.training)}
    assert set(found.cases) == learnt
    assert found.classes == model.card.classes
    # Of sixteen tiles nobody can tell what is unlike them.
    assert load_ood_reference(result.path, model.card.weights_sha256) is None


def test_what_many_tiles_look_like_lies_beside_it(tmp_path: Path) -> None:
    data = mini_set(tmp_path / "images", cases=6, images=30)
    one = ModelTrainer(data, SMALL, mini_network(), tmp_path / "mine")
    made = one.finish()
    sha256 = load_model(made.path).card.weights_sha256
    known = load_ood_reference(made.path, sha256)
    assert known is not None
    assert {appearance.source for appearance in known.appearances} == {"one", "two"}


def test_figures_are_of_cases_that_were_not_trained_on(
    whole: tuple[ModelTrainer, TrainedModel],
) -> None:
    one, result = whole
    images = one.labelled_set.images
    cases = [{images[i].case for i in side} for side in (one.training, one.validation)]
    assert cases[1]
    assert not cases[0] & cases[1]
    network = load_model(result.path).network
    logits = predict_images(network, [images[i] for i in one.validation])
    again = summarise(HeldOutPredictions.from_fold(one.validation, logits), one.labelled_set)
    stored = result.summary.estimates["brier"].value
    assert again.estimates["brier"].value == pytest.approx(stored, abs=0.02)
    # Four images are too few for an AUC.
    assert "lacks" in again.estimates["auc"].reason
    assert again.cases == len(cases[1])


def test_the_temperature_is_inside_the_saved_network(tmp_path: Path) -> None:
    one = making(tmp_path)
    images = [one.labelled_set.images[i] for i in one.validation]
    before = predict_images(one.network, images)
    card = one.finish().card
    after = predict_images(one.network, images)
    assert before / card.recipe["temperature"] == pytest.approx(after, rel=1e-3, abs=1e-4)


def test_every_case_that_was_used_is_remembered(
    whole: tuple[ModelTrainer, TrainedModel], tmp_path: Path
) -> None:
    one, result = whole
    hashes = {case_hash for source in result.card.training for case_hash in source.case_hashes}
    assert hashes == {case_hash(case) for case in one.labelled_set.cases}
    with pytest.raises(DataError, match="trained on every case"):
        list(evaluate(load_model(result.path), one.labelled_set))
    more = mini_set(tmp_path / "more", cases=7)
    kept, overlap = exclude_leaked(more, result.card)
    assert kept.cases == {"0-6", "1-6"}
    assert overlap.cases == 12


def test_a_stopped_training_goes_on_to_the_same_weights(
    whole: tuple[ModelTrainer, TrainedModel], tmp_path: Path
) -> None:
    stopped = making(tmp_path / "stopped")
    with closing(stopped.run()) as running:
        for progress in running:
            if progress.done == 5:
                break
    resumed = making(tmp_path / "stopped")
    steps = [progress.done for progress in resumed.run()]
    assert min(steps) >= 5
    paths = (whole[1].path, resumed.finish().path)
    one, other = (load_model(path).network.state_dict() for path in paths)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_without_validation_there_are_no_figures(tmp_path: Path) -> None:
    one, result = made(tmp_path, validation_fraction=0)
    assert one.validation == []
    assert result.summary is None
    assert result.card.figures == ()
    assert result.card.recipe["temperature"] == 1


def test_one_class_is_refused_before_anything_starts(tmp_path: Path) -> None:
    data = mini_set(tmp_path, cases=2)
    some = tuple(image for image in data.images if image.label == 0)
    with pytest.raises(DataError, match="No image of class malignant"):
        ModelTrainer(replace(data, images=some), SMALL, mini_network(), tmp_path / "m")


@pytest.mark.slow
def test_the_papers_network_sees_images_at_their_own_scale(tmp_path: Path) -> None:
    data = mini_set(tmp_path, cases=3, images=1)
    one = ModelTrainer(data, PaperRecipe(epochs=1, batch=2), SmseCnn(), tmp_path / "paper")
    for _ in one.run():
        pass
    card = one.finish().card
    assert card.trunk == "smse_cnn"
    assert card.embedding_dim == 12
    assert card.mpp_range == (0.5, 0.5)
    assert any("cannot score slides" in limit for limit in card.limits)
    model = load_model(tmp_path / "paper")
    logits = predict_images(model.network, [data.images[0]])
    expected = predict_images(one.network, [data.images[0]])
    assert logits == pytest.approx(expected, abs=0.01)


def test_a_recipe_is_flat_in_the_card() -> None:
    facts = recipe_facts(SMALL)
    assert facts["pca start"] == "yes"
    assert facts["steps"] == 8
    assert "gamma" not in facts
    assert all(isinstance(value, str | int | float) for value in facts.values())
    assert not any(isinstance(value, bool) for value in facts.values())
    assert np.isfinite([v for v in facts.values() if isinstance(v, float)]).all()
