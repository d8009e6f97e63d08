"""Trunks by name."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from napari_smse.errors import UnknownTrunkError
from napari_smse.models import build_trunk


@pytest.mark.parametrize(
    ("name", "features"),
    [
        ("efficientnet_lite0", 1280),
        ("resnet18", 512),
        ("mobilenetv3_small_050", 1024),
        ("torchvision/resnet18", 512),
        ("torchvision/mobilenet_v3_small", 1024),
    ],
)
def test_trunks_pool_to_the_features_they_state(name: str, features: int) -> None:
    trunk = build_trunk(name).eval()
    with torch.inference_mode():
        assert trunk(torch.zeros(2, 3, 64, 64)).shape == (2, features)
    assert trunk.features == features


@pytest.mark.parametrize(
    ("name", "close"),
    [("efficentnet_lite0", "efficientnet_lite0"), ("torchvision/resnet81", "torchvision/resnet18")],
)
def test_an_unknown_trunk_names_close_ones(name: str, close: str) -> None:
    with pytest.raises(UnknownTrunkError, match=close):
        build_trunk(name)


def test_a_name_like_no_other_says_where_to_look() -> None:
    with pytest.raises(UnknownTrunkError, match="list_models"):
        build_trunk("zzzzqqqq!")


def test_the_default_trunk_pads_statically() -> None:
    padded = [m for m in build_trunk().modules() if isinstance(m, torch.nn.Conv2d)]
    assert padded
    # timm's dynamic padding is a subclass of Conv2d.
    assert {type(module) for module in padded} == {torch.nn.Conv2d}


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet18"])
def test_stages_give_their_channels_means_and_deviations(name: str) -> None:
    torch.manual_seed(0)
    trunk = build_trunk(f"{name}+stages").eval()
    images = torch.randn(2, 3, 64, 64)
    maps: list[Tensor] = []
    for stage in trunk.body.feature_info[-3:]:
        module = trunk.body.get_submodule(stage["module"])
        module.register_forward_hook(lambda _module, _inputs, output: maps.append(output))
    with torch.inference_mode():
        found = trunk(images)
    obvious = torch.cat(
        [
            torch.tensor([[float(of(channel)) for channel in image] for image in stage])
            for stage in maps
            for of in (Tensor.mean, lambda channel: channel.std(correction=0))
        ],
        dim=1,
    )
    # Channels that are constant have a deviation of 1e-4, not 0.
    torch.testing.assert_close(found, obvious, rtol=1e-4, atol=2e-4)
    assert found.shape == (2, trunk.features)


def test_only_timms_trunks_hand_out_stages() -> None:
    with pytest.raises(UnknownTrunkError, match=r"did you mean torchvision/resnet18"):
        build_trunk("torchvision/resnet18+stages")


def test_a_constant_tile_gives_finite_gradients() -> None:
    trunk = build_trunk("efficientnet_lite0+stages").eval()
    images = torch.zeros(1, 3, 32, 32, requires_grad=True)
    trunk(images).sum().backward()
    assert images.grad is not None
    assert torch.isfinite(images.grad).all()
