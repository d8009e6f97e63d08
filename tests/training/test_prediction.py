"""What networks say of whole images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_smse.datasets.crops import evaluation_tiles
from napari_smse.datasets.pixels import read_pixels
from napari_smse.models import SmseCnn
from napari_smse.training.augmentation import whole_frame
from napari_smse.training.prediction import held_out_figures, predict_images, predict_some
from support.training import mini_network, mini_set


def test_an_images_logits_are_the_mean_over_its_evaluation_tiles(tmp_path: Path) -> None:
    images = mini_set(tmp_path, cases=5).images
    network = mini_network()
    found = torch.cat(list(predict_some(network, images, tile_px=16)))
    assert found.shape == (20, 2)
    for image, logits in zip(images, found, strict=True):
        tiles = np.stack(evaluation_tiles(read_pixels(image), image, 16))
        assert len(tiles) > 1
        with torch.inference_mode():
            expected = network(torch.from_numpy(tiles).permute(0, 3, 1, 2)).logits.mean(dim=0)
        torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


def test_predicting_puts_the_network_in_evaluation_mode(tmp_path: Path) -> None:
    images = mini_set(tmp_path, cases=1, images=1).images
    network = mini_network().train()
    first = predict_images(network, images)
    assert not network.training
    assert torch.equal(first, predict_images(network, images))
    assert predict_images(network, []).shape == (0, 0)


def test_the_papers_network_is_given_whole_frames(tmp_path: Path) -> None:
    images = mini_set(tmp_path, cases=1, images=1).images
    network = SmseCnn().eval()
    frames = torch.stack([whole_frame(read_pixels(image), (460, 700)) for image in images])
    with torch.inference_mode():
        expected = network(frames).logits
    torch.testing.assert_close(predict_images(network, images), expected)


def test_held_out_figures_are_what_they_say() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.5, 0.0], [0.0, 3.0]])
    figures = held_out_figures(logits, [0, 1, 1, 1])
    assert figures["auc"] == 1.0
    assert figures["accuracy"] == 0.75
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 1, 1]))
    assert figures["loss"] == pytest.approx(float(expected))
    assert np.isnan(held_out_figures(logits, [1, 1, 1, 1])["auc"])
    three = held_out_figures(torch.eye(3), [0, 1, 2])
    assert three["auc"] == three["accuracy"] == 1.0
