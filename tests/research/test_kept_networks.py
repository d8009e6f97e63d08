"""Networks that are trained once, and kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_smse.training.prediction import predict_images
from research.bundled import kept_networks, laboratories, unseen_laboratory
from research.bundled.kept_networks import TILE_PX, keeping_learner, kept_network
from research.bundled.kept_predictions import keeping_predictions, read_predictions
from support.training import SMALL, two_sources


def test_a_trunk_that_learns_leaves_its_weights_and_predicts_the_same_again(
    tmp_path: Path,
) -> None:
    data = two_sources(tmp_path)
    learner = keeping_learner(SMALL, "cpu", tmp_path / "out")
    learner = keeping_predictions(learner, "small", tmp_path / "out", tmp_path)
    laboratories.measure(learner, data, ["one"], 1)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"recipe.json", "one_0.safetensors", "one_0.csv"}
    network = unseen_laboratory.started(SMALL, 2)
    network.load_state_dict(load_file(tmp_path / "out" / "one_0.safetensors"))
    held_out = read_predictions(tmp_path / "out", "one", data, tmp_path)
    assert held_out is not None
    images = data.select(held_out.images.tolist())
    assert {image.source for image in images} == {"one"}
    again = predict_images(network, images, tile_px=TILE_PX)
    np.testing.assert_allclose(again, held_out.logits, atol=1e-5)


def test_a_kept_network_is_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = two_sources(tmp_path)
    first = kept_network(tmp_path / "out" / "all", SMALL, data, range(len(data.images)))
    monkeypatch.setattr(kept_networks, "train", None)
    second = kept_network(tmp_path / "out" / "all", SMALL, data, range(len(data.images)))
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name])


@pytest.mark.parametrize("change", ["recipe", "images"])
def test_a_network_of_another_training_is_not_taken_for_this_one(
    tmp_path: Path, change: str
) -> None:
    data = two_sources(tmp_path)
    kept_network(tmp_path / "all", SMALL, data, range(len(data.images)))
    recipe = SMALL.model_copy(update={"margin": 0.5}) if change == "recipe" else SMALL
    images = range(len(data.images) - (change == "images"))
    with pytest.raises(RuntimeError, match="of another training"):
        kept_network(tmp_path / "all", recipe, data, images)
