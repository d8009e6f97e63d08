"""Recipes on disk and in cards, and what they refuse."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from napari_smse.training.paper.recipe import PaperRecipe
from napari_smse.training.recipe import Recipe, default_recipe
from napari_smse.training.train_model import recipe_facts


def test_a_recipe_survives_json() -> None:
    recipe = Recipe(similarity="pair", mining="hard", gamma=1.25, mpp_limits=(0.25, 0.5), seed=7)
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    assert recipe != default_recipe()


def test_files_keep_the_names_they_were_first_written_with() -> None:
    recipe = Recipe(trainable="all", learning_rate=0.3, trunk_learning_rate=0.1)
    written = recipe.model_dump(by_alias=True)
    assert (written["learns"], written["rate"], written["trunk_rate"]) == ("all", 0.3, 0.1)
    assert written["distillation"] == 0.0
    assert Recipe.model_validate(written) == recipe
    assert Recipe.model_validate(recipe.model_dump()) == recipe
    assert recipe_facts(recipe)["learns"] == "all"
    assert PaperRecipe.model_validate({"rate": 0.5}).learning_rate == 0.5


def test_a_recipe_cannot_be_changed_by_accident() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        default_recipe().steps = 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"similarity": "quadruplet"},
        {"mining": "easy"},
        {"classification": "hinge"},
        {"trainable": "nothing"},
        {"steps": 0},
        {"margin": 0},
        {"learning_rate": float("inf")},
        {"ema_decay": 1.0},
        {"blur": 1.5},
        {"label_smoothing": 0.1, "classification": "focal"},
        {"mpp_limits": (0.6, 0.2)},
        {"precision": "int8"},
        {"stepz": 5},
    ],
)
def test_what_is_impossible_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Recipe(**wrong)


@pytest.mark.parametrize(
    ("classification", "gamma", "focus"),
    [
        ("cross-entropy", None, 0.0),
        ("cross-entropy", 2.0, 0.0),
        ("focal", None, 2.0),
        ("focal", 1.0, 1.0),
        ("reinforced focal", None, 1.5),
        ("reinforced-focal", 3.0, 3.0),
    ],
)
def test_each_loss_has_its_usual_focus(
    classification: str, gamma: float | None, focus: float
) -> None:
    assert Recipe(classification=classification, gamma=gamma).focus == focus
    assert PaperRecipe(classification="focal").focus == 2.0


def test_the_papers_recipe_is_the_papers() -> None:
    recipe = PaperRecipe()
    assert (recipe.similarity, recipe.margin) == ("triplet", 1.0)
    assert (recipe.epochs, recipe.batch) == (40, 50)
    assert (recipe.learning_rate, recipe.decay_every, recipe.decay) == (1e-3, 8, 0.1)
    assert recipe.colour == 0.1
