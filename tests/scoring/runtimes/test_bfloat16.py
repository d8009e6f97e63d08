"""Convolutions in bfloat16 whose answers are those of float32."""

from __future__ import annotations

import copy
import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from napari_smse.models import Model, load_model
from napari_smse.models.generated_tiles import generated_tile
from napari_smse.scoring import ScoreRequest, read_block
from napari_smse.scoring.runtimes.batchnorm_folding import fold_batchnorm
from napari_smse.scoring.runtimes.bfloat16 import in_bfloat16
from napari_smse.slides import open_slide

pytestmark = pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(),
    reason="torch does not compute bfloat16 convolutions on this CPU",
)

CLOSE, CLOSEST = 0.02, 0.01
EDGE = 224


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model("bundled", self_test=False)


@pytest.fixture(scope="module")
def exact(model: Model) -> nn.Module:
    return fold_batchnorm(model.network)


@pytest.fixture(scope="module")
def reduced(exact: nn.Module) -> nn.Module:
    return in_bfloat16(exact, as_images(generated(0, 8)))


def generated(first: int, count: int) -> NDArray[np.uint8]:
    return np.stack([generated_tile(first + number, EDGE, EDGE) for number in range(count)])


def as_images(tiles: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(tiles).permute(0, 3, 1, 2)


def probabilities(network: nn.Module, tiles: NDArray[np.uint8]) -> Tensor:
    with torch.inference_mode():
        parts = [network(part).logits.float() for part in as_images(tiles).split(16)]
    return torch.cat(parts).softmax(dim=1)


def rounded_to_nearest(exact: nn.Module) -> nn.Module:
    """What there is without correction: every kernel's weights rounded to nearest."""
    plain = copy.deepcopy(exact)
    with torch.no_grad():
        for module in plain.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.copy_(module.weight.bfloat16().float())
    return plain


def errors(network: nn.Module, exact: nn.Module, tiles: NDArray[np.uint8]) -> Tensor:
    return (probabilities(network, tiles) - probabilities(exact, tiles)).abs().amax(dim=1)


def autocast_errors(exact: nn.Module, tiles: NDArray[np.uint8]) -> Tensor:
    expected = probabilities(exact, tiles)
    with torch.autocast("cpu", torch.bfloat16):
        return (probabilities(exact, tiles) - expected).abs().amax(dim=1)


def assert_close(reduced: nn.Module, exact: nn.Module, tiles: NDArray[np.uint8]) -> None:
    """Bounds that rounding without corrections does not keep, and half its mean error."""
    found = errors(reduced, exact, tiles)
    assert found.max() < CLOSE
    assert (found < CLOSEST).float().mean() >= 0.95
    # Not of nothing: it does compute in another format.
    assert found.mean() > 1e-5
    for plain in (autocast_errors(exact, tiles), errors(rounded_to_nearest(exact), exact, tiles)):
        assert found.mean() < 0.6 * plain.mean()
        assert found.max() < 0.6 * plain.max()


def test_generated_tiles_keep_their_answers(reduced: nn.Module, exact: nn.Module) -> None:
    # Not those that it was corrected with.
    tiles = generated(200, 48)
    assert_close(reduced, exact, tiles)
    assert errors(reduced, exact, tiles).max() < CLOSEST


@pytest.mark.slow
def test_a_real_slide_keeps_its_answers(
    model: Model, reduced: nn.Module, exact: nn.Module, shared_data: Path
) -> None:
    with open_slide(shared_data / "slides" / "CMU-1-Small-Region.svs") as slide:
        plan = ScoreRequest((0.5,)).plan(slide, model.card)
        tiles = np.concatenate([read_block(slide, plan, block) for block in plan.blocks])
    assert_close(reduced, exact, tiles)


@pytest.mark.slow
def test_real_images_keep_their_answers(
    reduced: nn.Module, exact: nn.Module, shared_data: Path
) -> None:
    assert_close(reduced, exact, breakhis_tiles(shared_data / "breakhis"))


def breakhis_tiles(folder: Path) -> NDArray[np.uint8]:
    """The middle of every eighth image at 0.197 um/px."""
    with (folder / "images.csv").open() as table:
        names = [row["path"] for row in csv.DictReader(table) if row["magnification"] == "100X"]
    tiles = []
    for name in names[::8]:
        with Image.open(folder / name) as picture:
            rgb = np.asarray(picture.convert("RGB"))
        top, left = (rgb.shape[0] - EDGE) // 2, (rgb.shape[1] - EDGE) // 2
        tiles.append(rgb[top : top + EDGE, left : left + EDGE])
    return np.stack(tiles)


def test_all_but_the_first_convolutions_compute_in_bfloat16(
    reduced: nn.Module, exact: nn.Module
) -> None:
    names = [name for name, module in exact.named_modules() if isinstance(module, nn.Conv2d)]
    seen: list[tuple[str, torch.dtype]] = []
    for name in names:
        reduced.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: seen.append((name, output.dtype))
        )
    probabilities(reduced, generated(0, 1))
    dtypes = [dtype for _, dtype in seen]
    assert dtypes[:3] == [torch.float32] * 3
    assert len(dtypes) > 30
    assert set(dtypes[3:]) == {torch.bfloat16}


def test_the_original_is_not_changed(model: Model) -> None:
    network = fold_batchnorm(model.network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    modules = list(network.modules())
    in_bfloat16(network, as_images(generated(0, 2)))
    assert list(network.modules()) == modules
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_pre_hooks for module in modules)


class Padded(nn.Conv2d):
    """A convolution that pads by itself, as timm's do for TensorFlow's trunks."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(nn.functional.pad(images, (0, 1, 0, 1)))


def test_convolutions_that_are_more_than_that_stay_float32() -> None:
    kinds = [Padded(4, 4, 2), nn.Conv2d(4, 4, 3, padding="same")]
    kinds.append(nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"))
    first = [nn.Conv2d(3, 4, 1), *(nn.Conv2d(4, 4, 1) for _ in range(2))]
    network = nn.Sequential(*first, *kinds).eval()
    images = torch.rand(2, 3, 16, 16, generator=torch.manual_seed(0))
    reduced = in_bfloat16(network, images)
    with torch.inference_mode():
        assert torch.equal(reduced(images), network(images))


def test_what_stays_float32_may_lie_between_what_does_not() -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 1), *(nn.Conv2d(4, 4, 1) for _ in range(4))]
    layers += [Padded(4, 4, 2), nn.Conv2d(4, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    network = nn.Sequential(*layers, nn.Linear(4, 2)).eval()
    images = torch.rand(2, 3, 16, 16)
    reduced = in_bfloat16(network, images)
    with torch.inference_mode():
        torch.testing.assert_close(reduced(images), network(images), atol=0.02, rtol=0)


@pytest.mark.parametrize("groups", [1, 2, 8])
@pytest.mark.parametrize("bias", [True, False])
def test_the_mean_of_each_channel_is_kept(*, groups: int, bias: bool) -> None:
    torch.manual_seed(0)
    first = [nn.Conv2d(3, 8, 1), *(nn.Conv2d(8, 8, 1) for _ in range(2))]
    last = nn.Conv2d(8, 16, 3, stride=2, dilation=2, groups=groups, bias=bias)
    network = nn.Sequential(*first, last).eval()
    # Maps without borders, so that the mean over an input is that over every place of a kernel.
    images = torch.rand(4, 3, 1, 1).expand(4, 3, 16, 16)
    with torch.inference_mode():
        exact = network(images)
        found = in_bfloat16(network, images)(images).float()
        plain = rounded_to_nearest(network)(images)
    assert found.shape == exact.shape

    def shift(maps: Tensor) -> Tensor:
        return (maps - exact).mean(dim=(0, 2, 3)).abs()

    assert shift(found).mean() < shift(plain).mean()
