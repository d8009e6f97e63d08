"""The card and the files of a fine-tuned network."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import pytest

from napari_smse.errors import OutputError
from napari_smse.finetuning import saving
from napari_smse.finetuning.fine_tuner import FineTuner
from napari_smse.finetuning.result import FineTuneResult
from napari_smse.finetuning.saving import fine_tuned_card, save_fine_tuned
from napari_smse.finetuning.setup import fine_tune_recipe
from napari_smse.models import Model, ModelCard, read_card
from napari_smse.models.card import Undecided
from napari_smse.progress import run_task
from support.training import TRUNK, mini_network, mini_set

CARD = ModelCard(
    name="mini",
    version="3",
    classes=("benign", "malignant"),
    class_colours={"benign": (1, 2, 3)},
    tile_px=32,
    mpp_range=(0.4, 0.7),
    trunk=TRUNK,
    embedding_dim=4,
)


@pytest.fixture
def base(tmp_path: Path) -> Model:
    return Model(mini_network(), CARD, tmp_path / "mini.safetensors")


def finished(tuning: FineTuner) -> FineTuneResult:
    return run_task(tuning.run())


def test_class_colours_go_onto_the_card(base: Model, tmp_path: Path) -> None:
    data = mini_set(tmp_path / "data")
    tuning = FineTuner(base, data, fine_tune_recipe(steps=2))
    tuned = finished(tuning)
    given = {"Malignant": (200, 0, 0), "unheard of": (0, 0, 0)}
    path = save_fine_tuned(tuning, tuned, tmp_path / "mine", colours=given)
    # Those of the model it comes from stay, and other classes have no place there.
    assert read_card(path).class_colours == {"benign": (1, 2, 3), "malignant": (200, 0, 0)}
    assert fine_tuned_card(tuning, tuned, "x").class_colours == CARD.class_colours


def test_all_files_are_written_or_none(
    base: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuning = FineTuner(base, mini_set(tmp_path / "data"), fine_tune_recipe(steps=2))
    tuned = finished(tuning)
    out = tmp_path / "models" / "mine"
    with monkeypatch.context() as full:

        def no_room(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        full.setattr(saving, "save_bank", no_room)
        with pytest.raises(OutputError, match=r"mine: the disk is full"):
            save_fine_tuned(tuning, tuned, out)
    assert not list(out.parent.iterdir())
    path = save_fine_tuned(tuning, tuned, out)
    assert path == out.with_suffix(".safetensors")
    assert sorted(one.name for one in out.parent.iterdir()) == [
        "mine.exemplars.safetensors",
        "mine.json",
        "mine.safetensors",
    ]


def test_other_classes_have_no_colours_unless_given(base: Model, tmp_path: Path) -> None:
    data = replace(mini_set(tmp_path / "data"), classes=("fat", "nerve"))
    tuning = FineTuner(base, data, fine_tune_recipe(steps=2))
    tuned = finished(tuning)
    assert fine_tuned_card(tuning, tuned, "x").class_colours == {}
    card = fine_tuned_card(tuning, tuned, "x", colours={"nerve": (9, 9, 9)})
    assert card.class_colours == {"nerve": (9, 9, 9)}


def test_the_band_in_which_nothing_is_called_is_that_of_the_model_before(
    base: Model, tmp_path: Path
) -> None:
    """Without one, a map of what was learnt from a few tiles would be painted boldly."""
    band = Undecided(low=0.2, high=0.8, accuracy=0.9, coverage=0.5, target=0.9)
    card = base.card.model_copy(update={"undecided": band})
    data = mini_set(tmp_path / "data")
    tuning = FineTuner(replace(base, card=card), data, fine_tune_recipe(steps=2))
    made = fine_tuned_card(tuning, finished(tuning), "x")
    assert made.undecided == band
    assert any("are those of the model it comes from" in limit for limit in made.limits)
