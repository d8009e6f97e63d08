"""Checkpoints: whole or not at all, of this training or refused, and exact after a kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from napari_smse.errors import TrainingError
from napari_smse.models import SmseNetwork
from napari_smse.training.checkpoint import (
    CHECKPOINT_NAME,
    TrainingFolder,
    fill_optimiser,
    flat_optimiser,
    training_signature,
)
from napari_smse.training.trainer import TrainingProgress, train
from support import TESTS
from support.training import SMALL, by_case, mini_network, mini_set

RECIPE = SMALL.model_copy(update={"steps": 12, "validate_every": 3, "distillation_weight": 0.5})

VICTIM = """
import sys, time, torch
from pathlib import Path
sys.path[:0] = [{tests!r}, {tests!r} + "/training"]
torch.set_num_threads(1)
from test_checkpoint import begun

for progress in begun(Path({folder!r}), seed=0)[1]:
    print("at", progress.done, flush=True)
    if progress.done == 8:
        # It is killed from outside, at no moment of its own choosing.
        time.sleep(600)
"""


def begun(folder: Path, seed: int) -> tuple[SmseNetwork, Iterator[TrainingProgress]]:
    data = mini_set(folder.parent)
    network = mini_network(seed)
    sides = {"training": by_case(data, range(3)), "validation": by_case(data, [3])}
    return network, train(network, data, RECIPE, folder=folder, **sides)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_training_killed_midway_ends_with_the_same_weights(tmp_path: Path) -> None:
    mini_set(tmp_path)
    script = VICTIM.format(tests=str(TESTS), folder=str(tmp_path / "killed"))
    victim = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert victim.stdout is not None
    assert any(line.split() == ["at", "8"] for line in victim.stdout)
    victim.kill()
    assert victim.wait(timeout=30) != 0
    victim.stdout.close()
    undisturbed, running = begun(tmp_path / "whole", seed=0)
    assert [progress.done for progress in running][-1] == 12
    # The network it is given now is another one: all that counts is in the folder.
    resumed, running = begun(tmp_path / "killed", seed=5)
    steps = [progress.done for progress in running]
    assert (min(steps), max(steps)) == (7, 12)
    expected = undisturbed.state_dict()
    for name, tensor in resumed.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    logs = [(tmp_path / folder / "training.csv").read_text() for folder in ("killed", "whole")]
    assert logs[0] == logs[1]
    assert not list((tmp_path / "killed").glob(".*"))


@pytest.fixture
def folder(tmp_path: Path) -> TrainingFolder:
    return TrainingFolder(tmp_path / "training", "mine")


def test_what_is_saved_comes_back(folder: TrainingFolder) -> None:
    assert folder.load() is None
    tensors = {"a/b": torch.arange(3), "c": torch.randn(2, 2)[:, 1]}
    folder.save(tensors, {"step": 4, "figures": None}, CHECKPOINT_NAME)
    saved = folder.load()
    assert saved is not None
    assert saved.facts["step"] == 4
    assert saved.facts["figures"] is None
    for name, tensor in tensors.items():
        assert torch.equal(saved.tensors[name], tensor)
    with safe_open(folder.path / CHECKPOINT_NAME, framework="pt") as file:
        assert json.loads(file.metadata()["training"])["signature"] == "mine"


def test_another_trainings_folder_is_refused(folder: TrainingFolder) -> None:
    folder.save({}, {}, CHECKPOINT_NAME)
    with pytest.raises(TrainingError, match="another recipe or of other images"):
        TrainingFolder(folder.path, "yours").load()


@pytest.mark.parametrize("length", [0, 5, 60])
def test_a_damaged_checkpoint_is_named(folder: TrainingFolder, length: int) -> None:
    folder.save({"a": torch.zeros(9)}, {"step": 1}, CHECKPOINT_NAME)
    path = folder.path / CHECKPOINT_NAME
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(TrainingError, match=f"{path.name} is not a whole checkpoint"):
        folder.load()


def test_a_failed_write_keeps_the_checkpoint_before(
    folder: TrainingFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.save({}, {"step": 1}, CHECKPOINT_NAME)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TrainingError, match="No space left"):
        folder.save({}, {"step": 2}, CHECKPOINT_NAME)
    saved = folder.load()
    assert saved is not None
    assert saved.facts["step"] == 1
    assert [path.name for path in folder.path.iterdir()] == [CHECKPOINT_NAME]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="cannot be made"):
        TrainingFolder(tmp_path / "file" / "training", "mine")


def test_a_signature_tells_trainings_apart(tmp_path: Path) -> None:
    images = list(mini_set(tmp_path).images)
    network = mini_network()

    def signature(recipe=SMALL, images=images, training=(0, 1), validation=(2,), network=network):
        return training_signature(recipe, images, training, validation, network)

    other = [replace(images[0], case="else"), *images[1:]]
    relabelled = [replace(images[0], label=1), *images[1:]]
    found = [
        signature(),
        signature(recipe=SMALL.model_copy(update={"seed": 1})),
        signature(images=other),
        signature(images=relabelled),
        signature(training=(0,)),
        signature(training=(0, 1, 2), validation=()),
        signature(network=mini_network(embedding_dim=5)),
    ]
    assert len(set(found)) == len(found)
    # The weights themselves do not count: a start may be drawn anew.
    assert signature(network=mini_network(seed=3)) == found[0]


def test_an_optimiser_goes_on_as_if_nothing_had_happened() -> None:
    def made() -> tuple[torch.nn.Linear, torch.optim.AdamW, dict[torch.Tensor, str]]:
        torch.manual_seed(0)
        layer = torch.nn.Linear(3, 2)
        names = {parameter: name for name, parameter in layer.named_parameters()}
        return layer, torch.optim.AdamW(layer.parameters(), lr=0.1), names

    def step(layer: torch.nn.Linear, optimiser: torch.optim.AdamW) -> None:
        optimiser.zero_grad()
        layer(torch.ones(1, 3)).square().sum().backward()
        optimiser.step()

    layer, optimiser, names = made()
    for _ in range(3):
        step(layer, optimiser)
    flat = {name: tensor.clone() for name, tensor in flat_optimiser(optimiser, names).items()}
    weights = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    step(layer, optimiser)
    other, fresh, fresh_names = made()
    other.load_state_dict(weights)
    fill_optimiser(fresh, fresh_names, flat)
    step(other, fresh)
    for one, two in zip(layer.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
