"""Whatever runs a network, its answers are those of the network as it was built."""

from __future__ import annotations

import sys
import threading
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from napari_smse.errors import DeviceError
from napari_smse.models import Model, SmseNetwork, load_model
from napari_smse.scoring import choose_device
from napari_smse.scoring.device import ComputeDevice, Runtime
from napari_smse.scoring.runtimes.base import EXTRAS, Prediction, TileRunner
from napari_smse.scoring.runtimes.factory import build_runner
from napari_smse.scoring.tile_classifier import TileClassifier
from support import ROOT
from support.cluster import TILE_PX, write_model

BATCH = 3
TOLERANCE = 1e-4
DEVICE = replace(choose_device("cpu", exact=True), batch_size=BATCH)
PACKAGES = [
    ("onnxruntime", "onnxruntime"),
    ("onnxruntime", "onnx"),
    ("onnxruntime", "onnxscript"),
    ("openvino", "openvino"),
]


def on(runtime: Runtime) -> ComputeDevice:
    return replace(DEVICE, runtime=runtime)


def some_tiles(seed: int) -> NDArray[np.uint8]:
    """Noise of one colour after another, so that no two tiles are answered alike."""
    random = np.random.default_rng(seed)
    brightest = random.integers(20, 256, (BATCH, 1, 1, 3))
    return (random.random((BATCH, TILE_PX, TILE_PX, 3)) * brightest).astype(np.uint8)


def as_built(model: Model, tiles: NDArray[np.uint8]) -> Prediction:
    """The answers of the plain network: nothing folded, nothing exported."""
    with torch.inference_mode():
        output = model.network(torch.from_numpy(tiles).permute(0, 3, 1, 2))
    return output.logits.softmax(dim=1).numpy(), output.embedding.numpy()


def assert_close(found: Prediction, expected: Prediction) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == np.float32
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=0, atol=TOLERANCE)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A network whose normalisations do something, as those of a trained one do."""
    made = write_model(tmp_path_factory.mktemp("model"))
    torch.manual_seed(1)
    for part in made.network.modules():
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None
            assert part.running_var is not None
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.2, 0.6)
    with torch.no_grad():
        for part in made.network.modules():
            if isinstance(part, nn.Linear):
                part.weight.mul_(3)
    return made


@pytest.fixture(scope="module")
def weights(model: Model) -> dict[str, torch.Tensor]:
    """As they were before any runner was made."""
    return {name: value.clone() for name, value in model.network.state_dict().items()}


@pytest.fixture(scope="module", params=["torch", "onnxruntime", "openvino"])
def runtime(request: pytest.FixtureRequest) -> Runtime:
    name: Runtime = request.param
    pytest.importorskip(name)
    if name == "onnxruntime":
        pytest.importorskip("onnxscript")
    return name


@pytest.fixture(scope="module")
def runner(model: Model, weights: dict[str, torch.Tensor], runtime: Runtime) -> TileRunner:
    del weights  # taken before this changes anything
    return build_runner(model, on(runtime), 1)


def test_the_tiles_of_these_tests_are_answered_differently(model: Model) -> None:
    # Otherwise any answer to any of them would pass for the right one.
    answers = [as_built(model, some_tiles(seed)) for seed in (0, 1)]
    probability, embedding = (np.concatenate(parts) for parts in zip(*answers, strict=True))
    for one in range(len(embedding)):
        for other in range(one):
            assert np.abs(embedding[one] - embedding[other]).max() > 10 * TOLERANCE
    assert np.ptp(probability[:, 0]) > 10 * TOLERANCE


def test_probabilities_and_embeddings_are_those_of_the_network(
    model: Model, runner: TileRunner
) -> None:
    tiles = some_tiles(0)
    assert_close(runner(tiles), as_built(model, tiles))


def test_a_trunk_that_pools_tissue_runs_too(model: Model, runtime: Runtime) -> None:
    """As the bundled one does; what weighs its places is another part of the network."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = SmseNetwork("test_efficientnet+tissue", 8).eval()
    pooling, tiles = replace(model, network=network), some_tiles(0)
    tiles[:, : TILE_PX // 3] = 245  # glass
    assert_close(build_runner(pooling, on(runtime), 1)(tiles), as_built(pooling, tiles))


def test_the_next_call_does_not_overwrite_an_answer(model: Model, runner: TileRunner) -> None:
    tiles = some_tiles(0)
    answer = runner(tiles)
    kept = [part.copy() for part in answer]
    runner(some_tiles(1))
    for part, before in zip(answer, kept, strict=True):
        np.testing.assert_array_equal(part, before)


def test_an_answer_depends_on_the_tile_alone(runtime: Runtime) -> None:
    """To the last bit, so that scores do not depend on which tiles were read before others.

    By the bundled network: a small one has too few numbers to add to show it.
    """
    bundled = load_model("bundled")
    tiles = np.random.default_rng(0).integers(0, 256, (8, 224, 224, 3), dtype=np.uint8)
    classify = TileClassifier(bundled, replace(on(runtime), batch_size=8), 1)
    answer = classify(tiles)
    for first in range(1, len(tiles)):
        moved = classify(np.roll(tiles, first, axis=0))
        for part, again in zip(answer, moved, strict=True):
            np.testing.assert_array_equal(np.roll(part, first, axis=0), again)
    for part, alone in zip(answer, classify(tiles[:1]), strict=True):
        np.testing.assert_array_equal(part[:1], alone)


def test_twins_in_two_threads_answer_each_its_own_tiles(model: Model, runner: TileRunner) -> None:
    start = threading.Barrier(2, timeout=30)

    def ask(seed: int, run: TileRunner) -> list[Prediction]:
        tiles = some_tiles(seed)
        start.wait()
        return [run(tiles) for _ in range(20)]

    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(ask, seed, run) for seed, run in enumerate((runner, runner.clone()))]
        for seed, asked in enumerate(both):
            expected = as_built(model, some_tiles(seed))
            for answer in asked.result(timeout=60):
                assert_close(answer, expected)


@pytest.mark.usefixtures("runner")
def test_making_a_runner_leaves_the_network_as_it_is(
    model: Model, weights: dict[str, torch.Tensor]
) -> None:
    after = model.network.state_dict()
    assert weights.keys() == after.keys()
    for name, value in weights.items():
        assert torch.equal(value, after[name]), name
    assert not any(part.training for part in model.network.modules())


@pytest.mark.parametrize(("missing_from", "package"), PACKAGES)
def test_a_missing_package_is_told_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, model: Model, missing_from: Runtime, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # importing it fails from now on
    extra = EXTRAS[missing_from]
    with pytest.raises(DeviceError, match=missing_from) as told:
        build_runner(model, on(missing_from), 1)
    assert f'pip install "napari-smse[{extra}]"' in str(told.value)


@pytest.mark.parametrize(("runtime_of", "package"), PACKAGES)
def test_the_extra_that_is_told_brings_the_package(runtime_of: Runtime, package: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    brought = project["optional-dependencies"][EXTRAS[runtime_of]]
    names = [one.partition(">")[0].partition("=")[0].strip() for one in brought]
    assert package in names
