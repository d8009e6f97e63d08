"""A network is made ready once, and again when it has changed."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_smse.models import Model, SmseNetwork
from napari_smse.scoring import choose_device
from napari_smse.scoring.runtimes.factory import create_runner
from support.models import redness_model

DEVICE = choose_device("cpu", exact=True)
TILES = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)


def some_model() -> Model:
    torch.manual_seed(0)
    network = SmseNetwork("resnet18", embedding_dim=8).eval()
    return replace(redness_model(), network=network)


@pytest.fixture
def model() -> Model:
    return some_model()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was made, one after the other."""
    from napari_smse.scoring.runtimes import factory

    plain, calls = factory.build_runner, []

    def counted(*args: object) -> object:
        calls.append(args)
        return plain(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(factory, "build_runner", counted)
    return calls


def test_the_same_network_is_made_ready_once(model: Model, made: list[object]) -> None:
    first, second = (create_runner(model, DEVICE, 1) for _ in range(2))
    assert len(made) == 1
    assert first is not second
    for one, other in zip(first(TILES), second(TILES), strict=True):
        assert (one == other).all()


def test_another_batch_size_is_made_anew(model: Model, made: list[object]) -> None:
    create_runner(model, DEVICE, 1)
    create_runner(model, replace(DEVICE, batch_size=2), 1)
    assert len(made) == 2


def test_changed_weights_give_other_answers(model: Model) -> None:
    before = create_runner(model, DEVICE, 1)(TILES)[0]
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.mul_(1.5)
    after = create_runner(model, DEVICE, 1)(TILES)[0]
    assert np.abs(before - after).max() > 1e-3
    unchanged = replace(model, network=model.network)
    assert (create_runner(unchanged, DEVICE, 1)(TILES)[0] == after).all()


def test_a_network_that_is_gone_is_forgotten() -> None:
    model = some_model()
    create_runner(model, DEVICE, 1)
    network = weakref.ref(model.network)
    del model
    gc.collect()
    assert network() is None
