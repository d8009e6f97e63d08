"""Normalisations that the convolution before them carries."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from napari_smse.models import build_trunk, load_model
from napari_smse.scoring.runtimes.batchnorm_folding import fold_batchnorm

CHANNELS = 6


def lived_in(network: nn.Module) -> nn.Module:
    """Give every normalisation statistics as a training leaves them; twice as exact as in use."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.track_running_stats:
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias)
    return network.double().eval()


def normalisations(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def answers(network: nn.Module, channels: int = 3) -> Tensor:
    tiles = torch.rand(2, channels, 64, 64, dtype=torch.float64, generator=torch.manual_seed(1))
    with torch.inference_mode():
        return network(tiles)


def assert_same(one: Tensor, other: Tensor) -> None:
    # Of doubles: whatever differs by more is another computation, not another rounding.
    torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8 * float(other.abs().max()))


@pytest.mark.parametrize(
    "name",
    [
        "efficientnet_lite0",
        "resnet18",
        "mobilenetv3_small_050",
        "regnetx_002",
        "torchvision/resnet18",
        "torchvision/mobilenet_v3_small",
    ],
)
def test_trunks_answer_the_same_without_their_normalisations(name: str) -> None:
    trunk = lived_in(build_trunk(name))
    lean = fold_batchnorm(trunk)
    assert normalisations(trunk) > 0
    assert normalisations(lean) == 0
    assert_same(answers(lean), answers(trunk))


def test_normalisations_that_come_before_their_convolution_stay() -> None:
    # A dense network normalises what it is given, then convolves.
    trunk = lived_in(build_trunk("torchvision/densenet121"))
    lean = fold_batchnorm(trunk)
    assert 0 < normalisations(lean) < normalisations(trunk)
    assert_same(answers(lean), answers(trunk))


def test_a_trunk_of_other_normalisations_is_left_as_it_is() -> None:
    trunk = build_trunk("convnext_atto").double().eval()
    assert normalisations(trunk) == 0
    assert_same(answers(fold_batchnorm(trunk)), answers(trunk))


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("groups", [1, 3, CHANNELS])
def test_any_convolution_carries_it(*, groups: int, bias: bool, affine: bool) -> None:
    network = lived_in(
        nn.Sequential(
            nn.Conv2d(CHANNELS, 2 * CHANNELS, 3, stride=2, padding=1, groups=groups, bias=bias),
            nn.BatchNorm2d(2 * CHANNELS, affine=affine),
            nn.ReLU(),
        )
    )
    lean = fold_batchnorm(network)
    assert normalisations(lean) == 0
    assert_same(answers(lean, CHANNELS), answers(network, CHANNELS))


@pytest.mark.parametrize(
    "between",
    [
        nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.BatchNorm2d(3)),
        nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3, track_running_stats=False)),
        nn.Sequential(nn.ConvTranspose2d(3, 3, 2), nn.BatchNorm2d(3)),
    ],
    ids=["something between", "of each batch", "no plain convolution"],
)
def test_what_no_convolution_can_carry_stays(between: nn.Module) -> None:
    network = lived_in(between)
    lean = fold_batchnorm(network)
    assert normalisations(lean) == 1
    assert_same(answers(lean), answers(network))


def test_an_activation_held_by_the_normalisation_stays() -> None:
    network = lived_in(nn.Sequential(nn.Conv2d(3, 8, 3), _ActingNorm(8)))
    found = answers(fold_batchnorm(network))
    assert (found == 0).any()
    assert_same(found, answers(network))


class _ActingNorm(nn.BatchNorm2d):
    """As timm's: an activation comes with it."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.act = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        return self.act(super().forward(images))


def test_the_original_is_not_changed() -> None:
    network = build_trunk("resnet18").train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    modules = [type(module) for module in network.modules()]
    lean = fold_batchnorm(network)
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert [type(module) for module in network.modules()] == modules
    assert network.training
    assert not lean.training
    own = {tensor.data_ptr() for tensor in (*network.parameters(), *network.buffers())}
    assert not own & {tensor.data_ptr() for tensor in lean.parameters()}


def test_the_bundled_model_keeps_its_answers() -> None:
    model = load_model("bundled", self_test=False)
    tiles = torch.randint(0, 256, (3, 3, 224, 224), dtype=torch.uint8)
    lean = fold_batchnorm(model.network)
    assert normalisations(lean) == 0 < normalisations(model.network)
    with torch.inference_mode():
        found, expected = (network(tiles) for network in (lean, model.network))
    torch.testing.assert_close(found.logits, expected.logits, rtol=0, atol=1e-4)
    torch.testing.assert_close(found.embedding, expected.embedding, rtol=0, atol=1e-5)
