"""What a tuned model knows the look of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_smse.datasets.crops import evaluation_tiles
from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.datasets.pixels import read_pixels
from napari_smse.finetuning.fine_tuner import FineTuner
from napari_smse.finetuning.ood_update import updated_ood_reference
from napari_smse.finetuning.result import FineTuneResult
from napari_smse.finetuning.saving import fine_tuned_card, save_fine_tuned
from napari_smse.finetuning.setup import fine_tune_recipe
from napari_smse.models import Model, load_model, read_card
from napari_smse.progress import run_task
from napari_smse.similarity.ood.reference import (
    OodReference,
    load_ood_reference,
    ood_reference_path,
    save_ood_reference,
)
from napari_smse.tiles.appearance import MEASURES, appearance_features
from napari_smse.training.ood_reference import TileAppearances, fitted_ood_reference
from napari_smse.training.prediction import TileOutputs
from support.encoders import empty_hub, tiny_weights
from support.training import mini_model, mini_set

__all__ = ["empty_hub", "tiny_weights"]  # fixtures

K = len(MEASURES)
TILE = torch.tensor([[1.0, 0, 0, 0]]), torch.zeros(1, 2), torch.tensor([0.5])


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return mini_model(tmp_path / "models")


@pytest.fixture
def data(tmp_path: Path) -> LabelledSet:
    return mini_set(tmp_path / "data", cases=6)


def know(model: Model) -> OodReference:
    """Let a model know tiles that look like none of the data."""
    rng = np.random.default_rng(0)
    tiles = TileAppearances(
        rng.normal(50, 0.1, (120, K)).astype(np.float32),
        np.full(120, "elsewhere"),
        np.array([str(number % 6) for number in range(120)]),
        np.full(120, 0.5),
    )
    known = OodReference(
        model=model.card.weights_sha256, appearances=tuple(fitted_ood_reference(tiles))
    )
    save_ood_reference(known, ood_reference_path(model.path))
    return known


def tuned_on(
    model: Model, data: LabelledSet, **options: object
) -> tuple[FineTuner, FineTuneResult]:
    recipe = fine_tune_recipe("triplet", "head", steps=3, tile_px=32)
    tuning = FineTuner(model, data, recipe, **options)
    return tuning, run_task(tuning.run())


@pytest.mark.parametrize("crops", [0, 2])
def test_it_knows_what_it_learnt_besides_what_was_known(
    model: Model, data: LabelledSet, tmp_path: Path, crops: int
) -> None:
    known = know(model)
    tuning, tuned = tuned_on(model, data, crops=crops)
    assert not tuning.warnings
    path = save_fine_tuned(tuning, tuned, tmp_path / "mine")
    found = load_ood_reference(path, read_card(path).weights_sha256)
    assert found is not None
    assert [appearance.source for appearance in found.appearances] == ["elsewhere", "one", "two"]
    assert found.appearances[0] == known.appearances[0]


def test_tiles_learnt_from_are_no_longer_unlike_and_noise_is(
    model: Model, data: LabelledSet
) -> None:
    known = know(model)
    tuning, tuned = tuned_on(model, data)
    assert tuned.ood_reference is not None
    held = data.select(tuning.testing)
    tiles = np.stack([t for one in held for t in evaluation_tiles(read_pixels(one), one, 32)])
    mpps = np.full(len(tiles), 0.5)
    assert (known.ood_scores(appearance_features(tiles), mpps) > 1).all()
    assert (tuned.ood_reference.ood_scores(appearance_features(tiles), mpps) <= 1).mean() > 0.5
    noise = np.random.default_rng(0).integers(0, 255, tiles.shape, dtype=np.uint8)
    assert (tuned.ood_reference.ood_scores(appearance_features(noise), mpps) > 1).all()


def test_where_nothing_is_said_nothing_is_said_later(
    model: Model, data: LabelledSet, tmp_path: Path
) -> None:
    tuning, tuned = tuned_on(model, data)
    assert tuned.ood_reference is None
    assert not tuning.warnings
    # Looks of a model that lay there before must not stay behind.
    ood_reference_path(model.path).with_name("mine.looks.json").write_text("{}")
    left = (tmp_path / "models" / "mine.looks.json",)
    path = save_fine_tuned(tuning, tuned, tmp_path / "models" / "mine")
    assert not any(one.exists() for one in left)
    assert load_ood_reference(path, read_card(path).weights_sha256) is None


def test_what_was_learnt_is_kept_where_looks_cannot_be_read(
    model: Model, data: LabelledSet
) -> None:
    ood_reference_path(model.path).write_text("{")
    _, tuned = tuned_on(model, data)
    assert tuned.ood_reference is None
    assert tuned.steps == 3


def test_tiles_that_cannot_be_read_are_left_out_and_no_card_names_their_file(
    model: Model, data: LabelledSet, caplog: pytest.LogCaptureFixture
) -> None:
    """File names may be those of patients."""
    know(model)
    images = data.images
    images[0].path.write_bytes(b"no image")
    embedded = {image: TileOutputs(*TILE) for image in images}
    appearances = run_task(updated_ood_reference(model, images[:2] + images[12:14]))
    assert appearances.appearances[0].source == "elsewhere"
    assert images[0].path.name in caplog.text
    tuning, tuned = tuned_on(model, data, precomputed=embedded)
    assert tuned.ood_reference is not None
    card = fine_tuned_card(tuning, tuned, "mine")
    assert images[0].path.name not in card.model_dump_json()


def test_first_heads_on_an_encoder_know_the_tiles_they_learnt_from_alone(
    tiny_weights: Path, tmp_path: Path
) -> None:
    model = load_model("tiny", encoder_weights=tiny_weights)
    data = mini_set(tmp_path / "data", cases=6)
    found = run_task(updated_ood_reference(model, data.images))
    assert found is not None
    assert {appearance.source for appearance in found.appearances} == {"one", "two"}


def test_first_heads_that_learnt_from_too_few_tiles_know_none(
    tiny_weights: Path, tmp_path: Path
) -> None:
    model = load_model("tiny", encoder_weights=tiny_weights)
    data = mini_set(tmp_path / "data", cases=2, images=1)
    assert run_task(updated_ood_reference(model, data.images)) is None
