"""Learners by name, trained for a few steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from napari_smse.errors import TrainingError
from napari_smse.evaluation.cross_validation import SelectsOnTestSet, cross_validate
from napari_smse.evaluation.learners import (
    PaperPredictor,
    create_learner,
    network_learner,
    paper_learner,
    read_recipe,
)
from napari_smse.models import SmseCnn
from napari_smse.training.paper import trainer
from napari_smse.training.paper.recipe import PaperRecipe
from napari_smse.training.recipe import default_recipe
from napari_smse.training.trainer_state import TrainingState
from support.datasets import image, labelled_set, write_picture
from support.training import SMALL, mini_set


class TestRecipes:
    def test_default_and_paper_by_name(self) -> None:
        assert read_recipe("default") == default_recipe()
        assert read_recipe("paper") == PaperRecipe()

    def test_fields_are_changed_and_none_leaves_them(self) -> None:
        found = read_recipe("default", steps=7, similarity="pair", classification=None)
        assert found.similarity == "pair"
        assert found.steps == 7
        assert found.classification == default_recipe().classification
        paper = read_recipe("paper", steps=3, classification="reinforced focal", similarity=None)
        assert paper == PaperRecipe(epochs=3, classification="reinforced focal")

    def test_a_recipe_is_read_from_json(self, tmp_path: Path) -> None:
        (tmp_path / "r.json").write_text(SMALL.model_dump_json(), encoding="utf-8")
        assert read_recipe(str(tmp_path / "r.json"), steps=5) == SMALL.model_copy(
            update={"steps": 5}
        )

    @pytest.mark.parametrize(
        ("config", "changes", "message"),
        [
            ("nowhere.json", {}, "There is no recipe 'nowhere.json'"),
            ("frozen", {}, "There is no recipe 'frozen'"),
            ("default", {"similarity": "quadruplet"}, "similarity: .*pair"),
            ("default", {"steps": 0}, "steps: "),
            ("paper", {"steps": -1}, "epochs: "),
            ("default", {"speed": 3}, "speed: "),
        ],
    )
    def test_what_cannot_be_is_told_in_one_line(
        self, config: str, changes: dict[str, object], message: str
    ) -> None:
        with pytest.raises(TrainingError, match=message) as told:
            read_recipe(config, **changes)
        assert "\n" not in str(told.value)

    def test_a_damaged_file_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "r.json").write_text("{", encoding="utf-8")
        with pytest.raises(TrainingError, match=r"r\.json cannot be used"):
            read_recipe(str(tmp_path / "r.json"))

    def test_the_frozen_control_has_no_losses(self) -> None:
        with pytest.raises(TrainingError, match="no losses"):
            create_learner("frozen", similarity="pair")


def test_a_recipe_learns_colours_and_tells_its_steps(tmp_path: Path) -> None:
    data, said = mini_set(tmp_path), []
    recipe = SMALL.model_copy(update={"steps": 24, "ema_decay": 0.0})
    held_out = cross_validate(
        network_learner(recipe, on_message=said.append), data, 2, validation_fraction=0
    )
    assert sorted(held_out.images) == list(range(len(data.images)))
    labels = torch.tensor([data.images[i].label for i in held_out.images])
    assert float((held_out.logits.argmax(dim=1) == labels).float().mean()) > 0.7
    assert said[-1].startswith("step 24 of 24, loss ")


def test_the_seed_given_by_the_protocol_decides(tmp_path: Path) -> None:
    data = mini_set(tmp_path)
    training, test = list(range(12)), data.select([12, 13, 14, 15])
    learner = network_learner(SMALL.model_copy(update={"steps": 2}))
    first, again, other = (learner(data, training, (), seed)(test) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_fold_that_was_stopped_goes_on_and_one_that_is_done_is_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = mini_set(tmp_path / "images")
    training, test = list(range(12)), data.select([12, 13, 14, 15])
    recipe = SMALL.model_copy(update={"steps": 6, "validate_every": 2})
    whole = network_learner(recipe)(data, training, (), 1)(test)
    taken, stop_at = [], 4
    learn = TrainingState.learn

    def counted(self: TrainingState, *batch: object) -> object:
        if len(taken) == stop_at:
            raise KeyboardInterrupt
        taken.append(self.step)
        return learn(self, *batch)

    monkeypatch.setattr(TrainingState, "learn", counted)
    learner = network_learner(recipe, folder=tmp_path / "trainings")
    with pytest.raises(KeyboardInterrupt):
        learner(data, training, (), 1)
    stop_at = 99
    for _ in range(2):
        assert torch.equal(learner(data, training, (), 1)(test), whole)
    assert taken == [0, 1, 2, 3, 4, 5]


def test_learners_of_one_trunk_compute_its_features_once(tmp_path: Path) -> None:
    data, tables = mini_set(tmp_path), {}
    head = SMALL.model_copy(update={"trainable": "head", "steps": 2})
    other = head.model_copy(update={"similarity": "none", "classification": "focal"})
    said: list[str] = []
    for recipe in (head, other):
        learn = network_learner(recipe, on_message=said.append, feature_caches=tables)
        learn(data, list(range(12)), (), 0)(data.select([12, 13]))
    assert len(tables) == 1
    assert sum(text.startswith("features") for text in said) == len(data.images)
    changed = head.model_copy(update={"stain": 0.9})
    network_learner(changed, feature_caches=tables)
    assert len(tables) == 2


@pytest.fixture
def frames(tmp_path: Path) -> object:
    made = [
        replace(
            image(str(i), i % 2),
            path=write_picture(tmp_path / f"{i}.png", i % 2, i, (700, 460)),
        )
        for i in range(6)
    ]
    return labelled_set(made)


def constant(label: int) -> dict[str, torch.Tensor]:
    """Weights that call everything the same."""
    network = SmseCnn()
    with torch.no_grad():
        network.class_head[-1].weight.zero_()
        network.class_head[-1].bias.copy_(torch.eye(2)[label])
    return network.state_dict()


def test_peeking_takes_the_epoch_best_on_the_images_and_predicting_does_not(
    frames: object,
) -> None:
    network = SmseCnn()
    network.load_state_dict(constant(0))
    predictor = PaperPredictor(network, [constant(0), constant(1), constant(0)])
    assert isinstance(predictor, SelectsOnTestSet)
    assert predictor(frames.select([1, 3])).argmax(dim=1).tolist() == [0, 0]
    assert predictor.select_on_test(frames.select([1, 3])).argmax(dim=1).tolist() == [1, 1]
    assert predictor.select_on_test(frames.select([0, 2])).argmax(dim=1).tolist() == [0, 0]
    assert predictor(frames.select([1, 3])).argmax(dim=1).tolist() == [0, 0]


def test_the_papers_learner_keeps_every_epoch(frames: object) -> None:
    learner = paper_learner(PaperRecipe(epochs=2, batch=2))
    predictor = learner(frames, [0, 1, 2, 3], [], 3)
    assert len(predictor._epochs) == 2
    assert predictor.select_on_test(frames.select([4, 5])).shape == (2, 2)


def test_the_papers_epochs_are_kept_for_the_next_start(
    frames: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = paper_learner(PaperRecipe(epochs=2, batch=2), folder=tmp_path / "trainings")
    training, test = [0, 1, 2, 3], frames.select([4, 5])
    first = learner(frames, training, (), 0)
    monkeypatch.setattr(trainer._PaperRun, "_learn", None)
    again = learner(frames, training, (), 0)
    assert torch.equal(first(test), again(test))
    assert torch.equal(first.select_on_test(test), again.select_on_test(test))
