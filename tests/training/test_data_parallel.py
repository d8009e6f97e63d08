"""Two processes with one joint batch against one process with the whole of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from napari_smse.training.data_parallel import DataParallel, joined_processes
from napari_smse.training.recipe import Recipe
from napari_smse.training.trainer import train
from support import TESTS
from support.training import SMALL, by_case, mini_network, mini_set

# Five crops a case leave the processes unequal shares: 8 and 7 of 15 a class.
# Adam blows differences of rounding up to the rate, hence the low rates.
RECIPE = Recipe.model_validate(
    SMALL.model_dump()
    | {
        "learning_rate": 0.002,
        "trunk_learning_rate": 0.0005,
        "cases_per_class": 1,
        "crops_per_case": 5,
        "steps": 5,
        "validate_every": 2,
        "distillation_weight": 0.1,
        "feature_noise": 0.3,
        "mining": "hard",
        "ema_decay": 0.0,
        "classification": "focal",
    }
)

WORKER = """
import sys, torch
from pathlib import Path
sys.path[:0] = [{tests!r}, {tests!r} + "/training"]
torch.set_num_threads(1)
from test_data_parallel import RECIPE
from support.training import by_case, mini_network, mini_set
from napari_smse.training.data_parallel import joined_processes
from napari_smse.training.recipe import Recipe
from napari_smse.training.trainer import train
from safetensors.torch import save_file

folder = Path({folder!r})
data = mini_set(folder)
rank = joined_processes("cpu")[0].rank
# The processes begin with different weights: the first one's count.
network = mini_network(seed=rank)
losses = [
    progress.loss
    for progress in train(
        network, data, RECIPE, training=by_case(data, range(3)), validation=by_case(data, [3]),
        folder=folder / "training",
    )
    if progress.done
]
weights = {{name: tensor.contiguous() for name, tensor in network.state_dict().items()}}
save_file(weights | {{"losses": torch.tensor(losses[-1:])}}, folder / f"rank{{rank}}.safetensors")
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="torch without gloo")
def test_two_processes_learn_what_one_would(tmp_path: Path) -> None:
    data = mini_set(tmp_path)
    script = tmp_path / "worker.py"
    tests = str(TESTS)
    script.write_text(WORKER.format(tests=tests, folder=str(tmp_path)))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    subprocess.run(
        [*launch, "--nproc-per-node", "2", str(script)],
        check=True,
        timeout=240,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    network = mini_network(seed=0)
    sides = {"training": by_case(data, range(3)), "validation": by_case(data, [3])}
    loss = [progress.loss for progress in train(network, data, RECIPE, **sides)][-1]
    expected = network.state_dict()
    for rank in (0, 1):
        found = load_file(tmp_path / f"rank{rank}.safetensors")
        assert float(found.pop("losses")) == pytest.approx(loss, abs=1e-5)
        for name, tensor in found.items():
            torch.testing.assert_close(tensor, expected[name], rtol=0, atol=1e-5)
    before = mini_network(seed=0).state_dict()["trunk.body.conv_stem.weight"]
    assert (expected["trunk.body.conv_stem.weight"] - before).abs().max() > 5e-4
    assert (tmp_path / "training" / "training.csv").read_text().count("\n") == 6


@given(st.integers(1, 9), st.integers(0, 100))
def test_shares_cover_a_batch_once(processes: int, size: int) -> None:
    shares = [DataParallel(rank, processes).share(size) for rank in range(processes)]
    assert [i for share in shares for i in range(size)[share]] == list(range(size))
    assert max(len(range(size)[share]) for share in shares) <= -(-size // processes)


def test_alone_nothing_is_gathered_or_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    joint, device = joined_processes("cpu")
    assert (joint, device) == (DataParallel(0, 1), "cpu")
    assert joint.is_writer
    own = torch.ones(3, 2, requires_grad=True)
    assert joint.gather(own, 3) is own
    own.sum().backward()
    joint.sum_gradients([own])
    assert own.grad is not None
    assert torch.equal(own.grad, torch.ones(3, 2))
    joint.check_same(3, "anything", torch.device("cpu"))
