"""A tile's answer is its own: neighbours, batches and lack of memory do not show in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_smse.errors import DeviceError
from napari_smse.models import Model
from napari_smse.scoring import choose_device, tile_classifier
from napari_smse.scoring.device import ComputeDevice, Runtime
from napari_smse.scoring.runtimes.base import Prediction, TileRunner
from napari_smse.scoring.tile_classifier import TileClassifier, filled_up
from support.cluster import TILE_PX, write_model

COUNT = 11
BATCH = 8
DEVICE = replace(choose_device("cpu", exact=True), label="CPU, small", batch_size=BATCH)
TILES = np.random.default_rng(0).integers(0, 256, (COUNT, TILE_PX, TILE_PX, 3), dtype=np.uint8)
OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"),
    RuntimeError("std::bad_alloc"),
    MemoryError(),
    type("Fail", (Exception,), {})("[ONNXRuntimeError] : 1 : Failed to allocate memory for buffer"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return write_model(tmp_path_factory.mktemp("model"))


class Forgetful:
    """Runs a network, but has no memory for more tiles than fit; knows what it was given."""

    run: TileRunner
    one_by_one = False

    def __init__(self, fit: int, error: Exception, works: int = 0) -> None:
        self.fit, self.error, self.works = fit, error, works
        self.sizes: list[int] = []

    def clone(self) -> Forgetful:
        return self

    def __call__(self, tiles: NDArray[np.uint8]) -> Prediction:
        self.sizes.append(len(tiles))
        if len(tiles) > self.fit and len(self.sizes) > self.works:
            raise self.error
        return self.run(tiles)


class Constant:
    """Says the same of every tile."""

    one_by_one = False

    def clone(self) -> Constant:
        return self

    def __call__(self, tiles: NDArray[np.uint8]) -> Prediction:
        return np.zeros((len(tiles), 2), np.float32), np.zeros((len(tiles), 8), np.float32)


Forget = Callable[..., Forgetful]


@pytest.fixture
def forget(monkeypatch: pytest.MonkeyPatch) -> Forget:
    """Let classifiers made from now on run out of memory."""
    make: Any = tile_classifier.create_runner

    def from_now_on(fit: int, error: Exception = OUT_OF_MEMORY[0], works: int = 0) -> Forgetful:
        made = Forgetful(fit, error, works)

        def make_forgetful(*args: Any) -> Forgetful:
            made.run = make(*args)
            return made

        monkeypatch.setattr(tile_classifier, "create_runner", make_forgetful)
        return made

    return from_now_on


def classifier(model: Model, **changed: Any) -> TileClassifier:
    return TileClassifier(model, replace(DEVICE, **changed), 1)


def assert_same(found: Prediction, expected: Prediction) -> None:
    """To the last bit."""
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def ready(model: Model) -> TileClassifier:
    return classifier(model)


@pytest.fixture(scope="module")
def alone(ready: TileClassifier) -> Prediction:
    """The answer to each tile when nothing is asked but that tile."""
    answers = [ready(TILES[row : row + 1]) for row in range(COUNT)]
    probability, embedding = zip(*answers, strict=True)
    return np.concatenate(probability), np.concatenate(embedding)


def test_the_tiles_of_these_tests_are_answered_differently(alone: Prediction) -> None:
    assert len(np.unique(alone[1], axis=0)) == len(np.unique(alone[0], axis=0)) == COUNT


@given(
    order=st.permutations(range(COUNT)),
    cuts=st.sets(st.integers(1, COUNT - 1)),
)
def test_an_answer_depends_on_the_tile_alone(
    ready: TileClassifier, alone: Prediction, order: list[int], cuts: set[int]
) -> None:
    for rows in np.split(np.array(order), sorted(cuts)):
        assert_same(ready(TILES[rows]), (alone[0][rows], alone[1][rows]))


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_other_runtimes_too_answer_a_tile_the_same_in_any_batch(
    model: Model, runtime: Runtime
) -> None:
    pytest.importorskip(runtime)
    ask = classifier(model, runtime=runtime)
    whole = ask(TILES)
    backwards = ask(TILES[::-1])
    assert_same((backwards[0][::-1], backwards[1][::-1]), whole)
    assert_same(ask(TILES[4:5]), (whole[0][4:5], whole[1][4:5]))


def test_the_network_sees_batches_of_one_size_only(model: Model, forget: Forget) -> None:
    seen = forget(fit=BATCH)
    ask = classifier(model)
    ask(TILES)
    ask(TILES[:1])
    assert seen.sizes == [BATCH] * 3


def test_what_fills_up_a_batch_is_black_and_comes_last() -> None:
    filled = filled_up(TILES[:3], 5)
    assert filled.shape == (5, TILE_PX, TILE_PX, 3)
    np.testing.assert_array_equal(filled[:3], TILES[:3])
    assert not filled[3:].any()
    assert filled.dtype == np.uint8


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_out_of_memory_halves_the_batch_until_it_fits(
    model: Model, forget: Forget, error: Exception
) -> None:
    expected = classifier(model, batch_size=2)(TILES)
    small = forget(fit=2, error=error)
    ask = classifier(model)
    assert_same(ask(TILES), expected)
    assert small.sizes == [8, 4, *[2] * 6]
    assert_same(ask.clone()(TILES), expected)
    assert small.sizes[8:] == [2] * 6


def test_what_was_classified_before_memory_ran_out_is_kept(
    model: Model, forget: Forget, alone: Prediction
) -> None:
    small = forget(fit=4, works=1)
    found = classifier(model)(TILES)
    assert small.sizes == [8, 8, 4]
    for one, other in zip(found, alone, strict=True):
        # Not to the last bit: the arithmetic of a batch of another size may go another way.
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def test_too_little_memory_for_one_tile_is_named(model: Model, forget: Forget) -> None:
    small = forget(fit=0)
    with pytest.raises(DeviceError, match=r"CPU, small.*single tile.*choose the device") as told:
        classifier(model)(TILES)
    assert told.value.__cause__ is small.error
    assert small.sizes == [8, 4, 2, 1]


@pytest.mark.parametrize(
    "error", [RuntimeError("mat1 and mat2 differ"), ValueError("no such shape")]
)
def test_another_error_is_not_taken_for_a_lack_of_memory(
    model: Model, forget: Forget, error: Exception
) -> None:
    broken = forget(fit=0, error=error)
    with pytest.raises(type(error)) as told:
        classifier(model)(TILES)
    assert told.value is error
    assert broken.sizes == [BATCH]


@pytest.mark.parametrize(
    ("runtime", "made_for"), [("torch", [8]), ("onnxruntime", [8, 4, 2]), ("openvino", [8, 4, 2])]
)
def test_what_takes_one_size_only_is_made_anew_for_a_smaller_one(
    monkeypatch: pytest.MonkeyPatch, model: Model, runtime: Runtime, made_for: list[int]
) -> None:
    made: list[int] = []

    def make(model: Model, device: ComputeDevice, threads: int) -> Forgetful:
        made.append(device.batch_size)
        assert device.runtime == runtime

        runner = Forgetful(2, MemoryError())
        runner.run = Constant()
        return runner

    monkeypatch.setattr(tile_classifier, "create_runner", make)
    assert len(classifier(model, runtime=runtime)(TILES)[0]) == COUNT
    assert made == made_for
