"""Trunks by name."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from napari_smse.errors import UnknownTrunkError
from napari_smse.models import build_trunk
from napari_smse.models.smse_network import SmseNetwork
from napari_smse.models.trunk import tissue_weights


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


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet18"])
def test_glass_beside_tissue_hardly_changes_features_pooled_over_the_tissue(name: str) -> None:
    """Of the trunk's maps themselves: what a filter sees over an edge is another matter."""
    torch.manual_seed(0)
    trunk = build_trunk(f"{name}+tissue").eval()
    assert trunk.pools_tissue
    stages = [torch.randn(2, 5, 8, 8), torch.randn(2, 7, 4, 4)]
    tissue = torch.ones(2, 1, 64, 64)
    plain = trunk.pool(stages)
    torch.testing.assert_close(trunk.pool(stages, tissue), plain)
    # Half is glass, and its maps are something else: the other half alone counts.
    tissue[..., 32:] = 0.01
    changed = [stage.clone() for stage in stages]
    for stage in changed:
        stage[..., stage.shape[-1] // 2 :] += 5
    halves = [stage[..., : stage.shape[-1] // 2] for stage in stages]
    torch.testing.assert_close(trunk.pool(changed, tissue), trunk.pool(halves), atol=0.8, rtol=0.1)
    assert (trunk.pool(changed) - trunk.pool(halves)).abs().max() > 2


def test_weights_of_tissue_rise_with_its_optical_density() -> None:
    glass, pale, tissue, dark = (243, 243, 243), (225, 196, 215), (190, 120, 170), (60, 30, 80)
    pixels = torch.tensor([glass, pale, tissue, dark], dtype=torch.uint8).T.reshape(1, 3, 1, 4)
    weights = tissue_weights(pixels).flatten().tolist()
    assert weights[0] == pytest.approx(0.01)
    assert 0.01 < weights[1] < 1
    assert weights[2:] == [1, 1]


@pytest.mark.parametrize("size", [64, 96, 100])
def test_a_network_that_pools_tissue_takes_tiles_of_any_size(size: int) -> None:
    torch.manual_seed(0)
    network = SmseNetwork("efficientnet_lite0+tissue", 8).eval()
    tiles = torch.randint(0, 255, (2, 3, size, size), dtype=torch.uint8)
    with torch.inference_mode():
        found = network(tiles)
    assert found.embedding.shape == (2, 8)
    assert torch.isfinite(found.logits).all()


def test_a_tile_of_nothing_but_glass_has_features_too() -> None:
    network = SmseNetwork("efficientnet_lite0+tissue", 8).eval()
    with torch.inference_mode():
        found = network.features(torch.full((1, 3, 64, 64), 245, dtype=torch.uint8))
    assert torch.isfinite(found).all()
