"""Models of heads alone, on an encoder whose weights are its own file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import napari_smse as smse
from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.errors import EncoderWeightsError, TrainingError
from napari_smse.finetuning.fine_tuner import FineTuner
from napari_smse.finetuning.setup import fine_tune_recipe
from napari_smse.models import checkpoint, load_model, read_card, save_model
from napari_smse.models.encoders import weights as encoder_weights
from napari_smse.models.encoders.weight_files import weights_path
from napari_smse.training.initialisation import new_network
from napari_smse.training.recipe import Recipe, on_encoder
from napari_smse.training.trainer import train
from support.encoders import TINY, empty_hub, tiny_weights, weights
from support.training import mini_set

__all__ = ["empty_hub", "tiny_weights"]  # fixtures


@pytest.fixture
def data(tmp_path: Path) -> LabelledSet:
    (tmp_path / "data").mkdir()
    return mini_set(tmp_path / "data")


@pytest.fixture
def trained(tmp_path: Path, tiny_weights: Path, data: LabelledSet) -> smse.Model:
    """Heads of two steps on the encoder."""
    made = smse.train(
        data,
        out=tmp_path / "heads",
        encoder="a_tiny_one",
        encoder_weights=tiny_weights,
        steps=2,
        device="cpu",
    )
    return made.model


def tile(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (3, 64, 64, 3), dtype=np.uint8)


def test_the_file_holds_the_heads_and_the_card_names_the_encoder(
    trained: smse.Model, tmp_path: Path
) -> None:
    with safe_open(tmp_path / "heads.safetensors", "pt") as file:
        names = set(file.keys())
    assert {name.split(".")[0] for name in names} == {
        "embedding_head",
        "class_head",
        "mean",
        "std",
    }
    card = read_card(tmp_path / "heads")
    assert card.trunk == "encoder/tiny"
    assert card.tile_px == 64
    assert card.encoder is not None
    assert (card.encoder.name, card.encoder.licence) == ("tiny", "Some non-commercial")
    assert not card.encoder.commercial
    assert "somebody/tiny (Some non-commercial, no commercial use;" in card.parent


def test_its_features_are_the_encoders(trained: smse.Model, tiny_weights: Path) -> None:
    again = smse.load_model(trained.path)
    np.testing.assert_array_equal(
        again.predict(tile(), device="cpu"), trained.predict(tile(), device="cpu")
    )
    network = load_model(trained.path).network
    trunk = encoder_weights.load_encoder(TINY, tiny_weights)
    images = torch.from_numpy(tile()).permute(0, 3, 1, 2)
    with torch.inference_mode():
        expected = trunk((images / 255 - 0.5) / 0.5)
        torch.testing.assert_close(network.features(images), expected, atol=1e-4, rtol=1e-3)


def test_other_weights_of_the_encoder_are_refused(
    trained: smse.Model, tiny_weights: Path, tmp_path: Path
) -> None:
    save_file(weights(TINY, seed=1), tmp_path / "others.safetensors")
    with pytest.raises(EncoderWeightsError, match="other weights of tiny"):
        load_model(trained.path, encoder_weights=tmp_path / "others.safetensors")
    load_model(trained.path)
    # What was refused is not what the encoder begins with from now on.
    assert weights_path(TINY) == tiny_weights
    tiny_weights.unlink()
    with pytest.raises(EncoderWeightsError, match="are not here"):
        load_model(trained.path)


def test_weights_are_looked_for_where_they_were(trained: smse.Model, tiny_weights: Path) -> None:
    moved = tiny_weights.rename(tiny_weights.with_name("moved.safetensors"))
    with pytest.raises(EncoderWeightsError, match="are not here"):
        load_model(trained.path)
    load_model(trained.path, encoder_weights=moved)
    load_model(trained.path)


@pytest.mark.usefixtures("tiny_weights")
@pytest.mark.parametrize("learns", ["stage", "all"])
def test_an_encoder_stays_as_it_is(learns: str) -> None:
    with pytest.raises(ValueError, match="only the head can learn"):
        Recipe(**{**on_encoder("tiny"), "trainable": learns})


@pytest.mark.usefixtures("empty_hub")
def test_no_training_begins_without_the_weights(tmp_path: Path, data: LabelledSet) -> None:
    with pytest.raises(EncoderWeightsError, match=r"models get uni2-h.*CC BY-NC-ND 4.0"):
        smse.train(data, out=tmp_path / "heads", encoder="UNI2", steps=2, device="cpu")
    assert not list(tmp_path.glob("heads*"))


@pytest.mark.usefixtures("empty_hub")
def test_an_encoder_that_does_not_fit_into_memory_is_refused_before_it_is_read(
    tmp_path: Path,
) -> None:
    path = tmp_path / "large.safetensors"
    path.write_bytes(b"not read")
    with pytest.raises(EncoderWeightsError, match=r"takes 4000000.0 GB of memory"):
        encoder_weights.load_encoder(replace(TINY, parameters=1e9), path)


def test_heads_are_saved_again_without_the_encoder(trained: smse.Model, tmp_path: Path) -> None:
    model = load_model(trained.path)
    path = save_model(model.network, model.card, tmp_path / "copy")
    assert path.stat().st_size < 200_000
    np.testing.assert_array_equal(
        smse.load_model(path).predict(tile(), device="cpu"), trained.predict(tile(), device="cpu")
    )


def test_a_training_on_an_encoder_goes_on_where_it_was(
    tiny_weights: Path, data: LabelledSet, tmp_path: Path
) -> None:
    """What is kept of a training are heads alone, too."""
    recipe = Recipe(**on_encoder("tiny"), classification="cross-entropy")
    network, parent = new_network(recipe, 2, tiny_weights)
    assert parent.startswith("tiny, somebody/tiny")
    running = train(network, data, recipe, training=range(len(data.images)), folder=tmp_path / "t")
    for progress in running:
        if progress.done == 2:
            running.close()
            break
    sizes = [path.stat().st_size for path in (tmp_path / "t").glob("*.safetensors")]
    assert len(sizes) == 2
    assert max(sizes) < 500_000
    other, _ = new_network(recipe.model_copy(update={"seed": 0}), 2, tiny_weights)
    first = next(
        iter(train(other, data, recipe, training=range(len(data.images)), folder=tmp_path / "t"))
    )
    assert first.done == 3


@pytest.mark.parametrize("learns", ["stage", "all"])
def test_fine_tuning_leaves_the_encoder_as_it_is(
    trained: smse.Model, data: LabelledSet, learns: str
) -> None:
    recipe = fine_tune_recipe("triplet", learns)
    with pytest.raises(TrainingError, match="stands on an encoder, which stays as it is"):
        FineTuner(load_model(trained.path), data, recipe)
    FineTuner(load_model(trained.path), data, fine_tune_recipe("triplet", "head"))


def test_heads_are_saved_from_wherever_the_encoder_is(
    trained: smse.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a GPU; of the meta device, only where tensors are can be seen."""
    places = []
    monkeypatch.setattr(
        checkpoint,
        "expected_outputs",
        lambda network, card: places.append({p.device.type for p in network.parameters()}) or (),
    )
    model = load_model(trained.path)
    model.network.trunk.to("meta")
    save_model(model.network, model.card, tmp_path / "copy")
    assert places == [{"meta"}]


def test_other_weights_are_another_training(
    tiny_weights: Path, data: LabelledSet, tmp_path: Path
) -> None:
    recipe = Recipe(**on_encoder("tiny"), classification="cross-entropy", steps=3)
    other = tmp_path / "other.safetensors"
    save_file(weights(TINY, seed=1), other)
    every = range(len(data.images))
    for number, path in enumerate((tiny_weights, other)):
        network, _ = new_network(recipe, 2, path)
        running = train(network, data, recipe, training=every, folder=tmp_path / "t")
        if number:
            with pytest.raises(TrainingError, match="holds the training of another"):
                next(running)
        else:
            next(part for part in running if part.done == 1)
            running.close()
