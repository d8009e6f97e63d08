"""A network is converted once on a machine, and never taken for another one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import nn

from napari_smse.scoring.runtimes import converted_network
from napari_smse.scoring.runtimes.converted_network import convert_once, converted_folder

EXAMPLE = torch.zeros(2, 3)
FILES = {"network.xml": b"the layers", "network.bin": bytes(range(256))}


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(converted_network, "converted_folder", lambda: tmp_path / "converted")
    return tmp_path / "converted"


@pytest.fixture
def count() -> list[int]:
    """How often something was converted."""
    return []


@pytest.fixture
def convert(count: list[int]) -> Callable[[], dict[str, bytes]]:
    def converted() -> dict[str, bytes]:
        count.append(1)
        return FILES

    return converted


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 2), nn.ReLU())


def test_it_is_converted_once(count: list[int], convert: Callable) -> None:
    for _ in range(3):
        assert convert_once(network(), EXAMPLE, "openvino", convert) == FILES
    assert len(count) == 1


def test_one_is_converted_at_a_time() -> None:
    inside: list[int] = []
    most: list[int] = []

    def convert() -> dict[str, bytes]:
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.05)
        inside.pop()
        return FILES

    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(convert_once, network(seed), EXAMPLE, "openvino", convert)
            for seed in range(4)
        ]
        assert [job.result() for job in jobs] == [FILES] * 4
    assert max(most) == 1
    assert len(most) == 4


@pytest.mark.parametrize("what", ["weights", "one weight", "layers", "tiles", "runtime"])
def test_another_network_is_converted_anew(what: str, count: list[int], convert: Callable) -> None:
    convert_once(network(), EXAMPLE, "openvino", convert)
    other, example = network(seed=int(what == "weights")), EXAMPLE
    if what == "one weight":
        with torch.no_grad():
            other[0].bias[1] += 1e-6
    elif what == "layers":
        other[1] = nn.Tanh()
    elif what == "tiles":
        example = torch.zeros(3, 3)
    runtime = "onnxruntime" if what == "runtime" else "openvino"
    convert_once(other, example, runtime, convert)
    assert len(count) == 2


@pytest.mark.parametrize("place", [0, 40, 150, -1])
def test_what_is_damaged_is_made_again(
    place: int, folder: Path, count: list[int], convert: Callable
) -> None:
    convert_once(network(), EXAMPLE, "openvino", convert)
    (file,) = folder.iterdir()
    content = bytearray(file.read_bytes())
    if place < 0:
        del content[len(content) // 2 :]
    else:
        content[place] ^= 1
    file.write_bytes(content)
    for _ in range(2):
        assert convert_once(network(), EXAMPLE, "openvino", convert) == FILES
    assert len(count) == 2


@pytest.mark.parametrize("bit", [0, 3, 7])
def test_a_bit_that_turned_over_is_never_believed(
    bit: int, folder: Path, convert: Callable
) -> None:
    convert_once(network(), EXAMPLE, "openvino", convert)
    (file,) = folder.iterdir()
    content = file.read_bytes()
    for place in range(len(content)):
        turned = bytearray(content)
        turned[place] ^= 1 << bit
        file.write_bytes(turned)
        assert convert_once(network(), EXAMPLE, "openvino", convert) == FILES


def test_where_nothing_can_be_written_it_is_converted_each_time(
    folder: Path, count: list[int], convert: Callable
) -> None:
    folder.write_text("a file in its place")
    for _ in range(2):
        assert convert_once(network(), EXAMPLE, "openvino", convert) == FILES
    assert len(count) == 2


def test_what_was_not_used_for_longest_is_removed(
    monkeypatch: pytest.MonkeyPatch, folder: Path, count: list[int], convert: Callable
) -> None:
    convert_once(network(0), EXAMPLE, "openvino", convert)
    (first,) = folder.iterdir()
    monkeypatch.setattr(converted_network, "_MOST_BYTES", int(2.5 * first.stat().st_size))
    convert_once(network(1), EXAMPLE, "openvino", convert)
    second = next(file for file in folder.iterdir() if file != first)
    os.utime(first, (100, 100))
    os.utime(second, (200, 200))
    convert_once(network(0), EXAMPLE, "openvino", convert)  # used again
    convert_once(network(2), EXAMPLE, "openvino", convert)
    assert first.exists()
    assert not second.exists()
    assert len(list(folder.iterdir())) == 2


def test_it_lies_in_the_users_cache() -> None:
    assert converted_folder is not converted_network.converted_folder
    assert converted_folder().parent.name == "napari-smse"


_NUMBA_MEANWHILE = """
import math
import numba
import torch
from napari_smse.scoring.runtimes.converted_network import convert_once

def convert():
    # As torch's exporter does, for as long as it runs.
    math.pow = lambda base, exponent: base
    assert numba.njit(lambda number: number + 1)(1.0) == 2.0
    return {"file": b"done"}

print(convert_once(torch.nn.Linear(2, 2), torch.zeros(1, 2), "onnxruntime", convert))
"""


def test_numba_may_begin_while_a_network_is_converted(tmp_path: Path) -> None:
    """As napari has it do, when the first annotation is drawn."""
    pytest.importorskip("numba")
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", _NUMBA_MEANWHILE], capture_output=True, text=True, env=environment
    )
    assert done.stdout.strip() == "{'file': b'done'}", done.stderr
