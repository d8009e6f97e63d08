"""Noise on features."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from napari_smse.training.objective import with_noise
from napari_smse.training.trainer import train
from support.training import SMALL, mini_network, mini_set


def test_it_is_as_strong_as_the_features_spread() -> None:
    spread = torch.tensor([0.1, 1.0, 10.0])
    features = 5 + torch.randn(20_000, 3) * spread
    added = with_noise(features, 0.5, seed=3, step=7) - features
    torch.testing.assert_close(added.std(dim=0), 0.5 * spread, rtol=0.03, atol=0)
    torch.testing.assert_close(added.mean(dim=0), torch.zeros(3), rtol=0, atol=0.2)


def test_the_same_step_draws_the_same_and_another_does_not() -> None:
    features = torch.randn(8, 5)
    first, again, other = (with_noise(features, 1.0, seed=1, step=step) for step in (4, 4, 5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_none_leaves_the_very_tensor() -> None:
    features = torch.randn(8, 5)
    assert with_noise(features, 0.0, seed=0, step=0) is features


@pytest.mark.parametrize("learns", ["head", "all"])
def test_training_learns_with_it_and_predicts_without(tmp_path: Path, learns: str) -> None:
    data = mini_set(tmp_path)

    def heads(noise: float) -> torch.Tensor:
        network = mini_network()
        recipe = SMALL.model_copy(
            update={"steps": 2, "trainable": learns, "feature_noise": noise, "pca_start": False}
        )
        list(train(network, data, recipe, training=range(len(data.images))))
        images = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
        with torch.inference_mode():
            assert torch.equal(network(images).logits, network(images).logits)
        return network.class_head.weight

    assert not torch.equal(heads(0.0), heads(1.0))
    assert torch.equal(heads(1.0), heads(1.0))
