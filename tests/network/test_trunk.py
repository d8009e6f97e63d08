"""Trunks by name."""

from __future__ import annotations

import pytest
import torch

from napari_smse.errors import UnknownTrunkError
from napari_smse.network import build_trunk


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
