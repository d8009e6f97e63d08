from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_smse.errors import DeviceError
from napari_smse.models import NetworkOutput
from napari_smse.scoring import choose_device
from napari_smse.scoring.tile_classifier import TileClassifier
from support.models import RednessNetwork, redness_model

DEVICE = replace(choose_device("cpu"), label="GPU, small", batch_size=16, precision="float32")
TILES = np.random.default_rng(0).integers(0, 256, (13, 8, 8, 3)).astype(np.uint8)


class SmallDeviceNetwork(RednessNetwork):
    """Runs out of memory on more tiles than fit."""

    def __init__(self, fit: int) -> None:
        super().__init__()
        self.fit = fit

    def forward(self, images: torch.Tensor) -> NetworkOutput:
        output = super().forward(images)
        if len(images) > self.fit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return output


def classifier(network):
    model = redness_model()
    model.network = network
    return TileClassifier(model, DEVICE, 1)


@pytest.mark.parametrize("fit", [1, 4, 13])
def test_batches_too_large_for_the_device_are_split(fit):
    probability, embedding = classifier(RednessNetwork())(TILES)
    network = SmallDeviceNetwork(fit)
    small = classifier(network)
    found = small(TILES)
    np.testing.assert_allclose(found[0], probability, atol=1e-6)
    np.testing.assert_allclose(found[1], embedding, atol=1e-6)
    network.batches.clear()
    small(TILES)
    assert max(network.batches) <= fit  # what did not fit is not tried again


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_network_works_in_the_devices_precision_and_answers_in_float32(precision):
    class Multiplying(RednessNetwork):
        def forward(self, images):
            self.inside = (torch.ones(1, 1) @ torch.ones(1, 1)).dtype
            return super().forward(images)

    model = redness_model()
    model.network = network = Multiplying()
    found = TileClassifier(model, replace(DEVICE, precision=precision), 1)(TILES)
    assert network.inside == getattr(torch, precision)
    assert {part.dtype for part in found} == {np.dtype(np.float32)}


def test_a_device_without_room_for_a_tile_is_told():
    with pytest.raises(DeviceError, match=r"GPU, small.*choose the device cpu"):
        classifier(SmallDeviceNetwork(0))(TILES)
