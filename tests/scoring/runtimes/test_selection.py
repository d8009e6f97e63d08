"""What runs a network fastest is measured once, and never at the cost of its answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_smse.models import Model
from napari_smse.scoring import choose_device, select_runtime
from napari_smse.scoring.device import ComputeDevice
from napari_smse.scoring.runtimes import selection, speed_memory
from napari_smse.scoring.runtimes.base import Prediction
from napari_smse.scoring.runtimes.selection import (
    TOLERANCE,
    RuntimeChoice,
    Speed,
    begun_at_once,
    max_deviation,
    needs_measuring,
    runtime_at_once,
)
from support.models import redness_model

measure = selection.measure
selected_speed = selection.selected_speed  # before the suite's own fixture takes its place
remembered_speed = selection.remembered_speed
CPU = replace(choose_device("cpu"), batch_size=4)
WITH_BFLOAT16 = replace(CPU, precision="bfloat16")
TORCH: RuntimeChoice = ("torch", "float32")
ROUNDED: RuntimeChoice = ("torch", "bfloat16")
ONNX: RuntimeChoice = ("onnxruntime", "float32")
OPENVINO: RuntimeChoice = ("openvino", "float32")
SECONDS: dict[RuntimeChoice, float] = {TORCH: 4.0, ROUNDED: 3.0, ONNX: 2.0, OPENVINO: 1.0}
"""How long a batch takes on the machine of these tests."""

Run = Callable[[NDArray[np.uint8]], Prediction]


class Machine:
    """A machine whose clock goes on only while a network computes."""

    def __init__(self) -> None:
        self.now = 0.0
        self.made: list[RuntimeChoice] = []
        self.measured = 0
        self.fails: set[RuntimeChoice] = set()
        self.fails_when_run: set[RuntimeChoice] = set()
        self.installed = {"torch": True, "onnxruntime": True, "openvino": True}
        self.shift: dict[RuntimeChoice, float] = {}
        """How far each way's probabilities are from torch's."""

    def build_runner(self, model: Model, device: ComputeDevice, threads: int) -> Run:
        choice: RuntimeChoice = device.runtime, device.precision
        if choice in self.fails:
            raise NotImplementedError("no such operator")
        self.made.append(choice)

        def run(tiles: NDArray[np.uint8]) -> Prediction:
            if choice in self.fails_when_run:
                raise ValueError("no kernel for this shape")
            self.now += SECONDS[choice]
            malignant = np.linspace(0.3, 0.7, len(tiles)) + self.shift.get(choice, 0.0)
            probability = np.stack([1 - malignant, malignant], axis=1).astype(np.float32)
            return probability, np.zeros((len(tiles), 3), np.float32)

        return run

    def measure(self, device: ComputeDevice, model: Model, threads: int) -> list[Speed]:
        self.measured += 1
        return measure(device, model, threads)


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "fastest.json"


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, no_measuring: None, memory: Path) -> Machine:
    made = Machine()
    monkeypatch.setattr(selection, "selected_speed", selected_speed)
    monkeypatch.setattr(selection, "remembered_speed", remembered_speed)
    monkeypatch.setattr(speed_memory, "_unwritten", {})
    monkeypatch.setattr(selection, "measure", made.measure)
    monkeypatch.setattr(selection, "build_runner", made.build_runner)
    monkeypatch.setattr(selection, "computes_bfloat16", lambda: True)
    for module in (selection, speed_memory):
        monkeypatch.setattr(module, "is_installed", lambda name: made.installed[name])
    monkeypatch.setattr(selection, "time", SimpleNamespace(perf_counter=lambda: made.now))
    monkeypatch.setattr(speed_memory.platformdirs, "user_cache_path", lambda _name: memory.parent)
    return made


def model_of(weights: str = "a" * 64, trunk: str = "none") -> Model:
    model = redness_model()
    card = model.card.model_copy(update={"weights_sha256": weights, "trunk": trunk})
    return replace(model, card=card)


def choice_of(one: ComputeDevice | Speed) -> RuntimeChoice:
    return one.runtime, one.precision


def test_each_way_is_measured_and_compared_with_torch_in_float32(machine: Machine) -> None:
    machine.shift = {ONNX: 0.1}
    speeds = {choice_of(one): one for one in measure(CPU, model_of(), 1)}
    assert {choice: one.tiles_per_s for choice, one in speeds.items()} == {
        choice: CPU.batch_size / seconds for choice, seconds in SECONDS.items()
    }
    assert speeds[OPENVINO].deviation == speeds[TORCH].deviation == 0
    assert speeds[ONNX].deviation > 0.09


def test_the_fastest_way_is_taken_and_nothing_else_of_the_device_changes() -> None:
    assert select_runtime(CPU, model_of()) == replace(CPU, runtime="openvino", precision="float32")


def test_what_was_measured_is_remembered(machine: Machine) -> None:
    found = select_runtime(CPU, model_of())
    machine.made.clear()
    assert select_runtime(CPU, model_of()) == found
    assert (machine.measured, machine.made) == (1, [])


@pytest.mark.parametrize(
    ("device", "trunk", "threads"),
    [
        (replace(CPU, batch_size=8), "none", 1),
        (replace(CPU, label="CPU, another"), "none", 1),
        (CPU, "resnet18", 1),
        (CPU, "none", 2),
    ],
    ids=["batch", "processor", "trunk", "threads"],
)
def test_what_may_turn_the_order_round_is_measured_anew(
    machine: Machine, device: ComputeDevice, trunk: str, threads: int
) -> None:
    select_runtime(CPU, model_of())
    select_runtime(device, model_of(trunk=trunk), threads)
    select_runtime(CPU, model_of())  # the first is still known
    assert machine.measured == 2


def test_another_version_of_a_runtime_is_measured_anew(
    monkeypatch: pytest.MonkeyPatch, machine: Machine
) -> None:
    select_runtime(CPU, model_of())
    monkeypatch.setattr(selection, "_version", lambda _package: "99.0")
    select_runtime(CPU, model_of())
    assert machine.measured == 2


@pytest.mark.parametrize("name", ["cuda:0", "mps"])
def test_a_gpu_is_left_alone(machine: Machine, memory: Path, name: str) -> None:
    device = replace(CPU, torch_name=name)
    assert select_runtime(device, model_of()) is device
    assert not machine.measured
    assert not memory.exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"7", b"\xff\xfe\x00"])
def test_a_damaged_memory_is_ignored_and_written_anew(
    machine: Machine, memory: Path, content: bytes
) -> None:
    memory.parent.mkdir()
    memory.write_bytes(content)
    for _ in range(2):
        assert choice_of(select_runtime(CPU, model_of())) == OPENVINO
    assert machine.measured == 1
    assert isinstance(json.loads(memory.read_text()), dict)


@pytest.mark.parametrize(
    "entry",
    [7, None, [7], [{"runtime": "torch"}], [vars(Speed("abacus", "float32", 1.0, 0.0))]],  # type: ignore[arg-type]
)
def test_a_damaged_entry_is_ignored_and_written_anew(
    machine: Machine, memory: Path, entry: object
) -> None:
    select_runtime(CPU, model_of())
    known = json.loads(memory.read_text())
    memory.write_text(json.dumps(dict.fromkeys(known, entry) | {"another machine": [1]}))
    for _ in range(2):
        assert choice_of(select_runtime(CPU, model_of())) == OPENVINO
    assert machine.measured == 2
    assert json.loads(memory.read_text()) == known | {"another machine": [1]}


def test_where_the_memory_cannot_be_written_the_decision_holds_for_the_process(
    machine: Machine, memory: Path
) -> None:
    memory.parent.write_text("a file where the folder should be")
    assert choice_of(select_runtime(CPU, model_of())) == OPENVINO
    machine.fails = {OPENVINO}
    assert choice_of(select_runtime(CPU, model_of())) == OPENVINO
    assert machine.measured == 1


def test_of_two_programs_that_measure_at_once_the_first_decides(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both go on with the same, though on a busy machine each measured another order."""
    others: list[RuntimeChoice] = []

    def measure(device: ComputeDevice, model: Model, threads: int) -> list[Speed]:
        found = machine.measure(device, model, threads)
        monkeypatch.setattr(selection, "measure", machine.measure)
        machine.fails = {OPENVINO}
        others.append(choice_of(select_runtime(device, model, threads)))
        return found

    monkeypatch.setattr(selection, "measure", measure)
    ours = [choice_of(select_runtime(CPU, model_of())) for _ in range(2)]
    assert others == [ONNX]
    assert ours == [ONNX, ONNX]
    # What is known of the trunk is the first's as well.
    machine.fails = set()
    assert choice_of(select_runtime(CPU, model_of("b" * 64))) == ONNX


@pytest.mark.parametrize("sign", [1, -1])
def test_a_way_with_other_answers_is_not_taken(machine: Machine, sign: int) -> None:
    # Just beyond the tolerance, and just within.
    machine.shift = {OPENVINO: sign * 1.3 * TOLERANCE, ONNX: sign * 0.7 * TOLERANCE}
    assert choice_of(select_runtime(CPU, model_of())) == ONNX


def test_torch_in_float32_remains_when_all_others_answer_differently(machine: Machine) -> None:
    machine.shift = dict.fromkeys([OPENVINO, ONNX, ROUNDED], 0.05)
    assert choice_of(select_runtime(CPU, model_of())) == TORCH


def test_a_runtime_that_cannot_run_the_network_is_skipped(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.fails = {OPENVINO}
    assert choice_of(select_runtime(CPU, model_of())) == ONNX
    assert "openvino in float32 cannot run redness" in caplog.text


def test_an_error_of_torch_itself_is_not_hidden(machine: Machine) -> None:
    machine.fails = {TORCH}
    with pytest.raises(NotImplementedError, match="no such operator"):
        select_runtime(CPU, model_of())


def test_what_converts_but_does_not_run_is_passed_over(machine: Machine) -> None:
    machine.fails_when_run = {OPENVINO}
    assert choice_of(select_runtime(CPU, model_of("a" * 64))) == ONNX
    machine.fails_when_run |= {ONNX}
    assert choice_of(select_runtime(CPU, model_of("b" * 64))) == ROUNDED


def test_a_network_whose_answers_are_no_numbers_runs_as_it_was_built(machine: Machine) -> None:
    machine.shift = dict.fromkeys(SECONDS, np.nan)
    assert choice_of(select_runtime(CPU, model_of())) == TORCH


def test_what_is_not_installed_is_not_tried(machine: Machine) -> None:
    machine.installed |= {"openvino": False, "onnxruntime": False}
    assert choice_of(select_runtime(CPU, model_of())) == ROUNDED
    assert set(machine.made) == {TORCH, ROUNDED}


def test_what_was_removed_since_is_not_taken(machine: Machine) -> None:
    select_runtime(CPU, model_of())
    machine.installed["openvino"] = False
    assert choice_of(select_runtime(CPU, model_of())) == ONNX
    assert machine.measured == 1


def test_of_another_model_with_that_trunk_only_the_answers_are_compared(machine: Machine) -> None:
    select_runtime(CPU, model_of("a" * 64))
    machine.made.clear()
    assert choice_of(select_runtime(CPU, model_of("b" * 64))) == OPENVINO
    assert machine.measured == 1
    assert machine.made == [TORCH, OPENVINO]
    select_runtime(CPU, model_of("b" * 64))  # remembered by its weights from now on
    assert machine.made == [TORCH, OPENVINO]


def test_another_model_may_need_another_way(machine: Machine) -> None:
    select_runtime(CPU, model_of("a" * 64))
    machine.shift, machine.fails = {OPENVINO: 0.05}, {ONNX}
    for _ in range(2):
        assert choice_of(select_runtime(CPU, model_of("b" * 64))) == ROUNDED
    assert choice_of(select_runtime(CPU, model_of("a" * 64))) == OPENVINO


def test_a_difference_counts_as_if_the_tile_were_in_doubt() -> None:
    def of(one: float, other: float) -> float:
        return max_deviation(*(np.array([[1 - p, p]], np.float32) for p in (one, other)))

    assert of(0.5, 0.5) == of(1.0, 1.0) == of(0.0, 0.0) == 0
    assert of(0.5, 0.51) == pytest.approx(0.01, rel=0.01)
    # What a softmax near 1 hides: log-odds of 4.6 and 6.9.
    assert of(0.99, 0.999) == pytest.approx(0.58, abs=0.01) == of(0.01, 0.001)
    assert np.isfinite(of(0.0, 1.0))


def test_where_somebody_waits_torch_runs_until_it_is_measured(machine: Machine) -> None:
    assert choice_of(runtime_at_once(WITH_BFLOAT16, model_of())) == ROUNDED
    assert machine.made == [TORCH, ROUNDED]  # the answers are compared all the same
    assert not machine.measured
    assert needs_measuring(WITH_BFLOAT16, model_of())
    select_runtime(WITH_BFLOAT16, model_of())
    assert choice_of(runtime_at_once(WITH_BFLOAT16, model_of())) == OPENVINO
    assert not needs_measuring(WITH_BFLOAT16, model_of())
    assert machine.measured == 1


def test_how_the_network_runs_is_described_without_measuring(machine: Machine) -> None:
    assert "when slides are first scored" in selection.describe_runtime(CPU, model_of())
    assert not machine.measured
    select_runtime(CPU, model_of())
    assert "OpenVINO in float32" in selection.describe_runtime(CPU, model_of())


@pytest.mark.parametrize("bfloat16", [True, False])
@pytest.mark.parametrize("installed", [True, False])
def test_what_may_be_faster_is_named_where_it_is_not_installed(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, bfloat16: bool, installed: bool
) -> None:
    machine.installed |= {"openvino": False, "onnxruntime": installed}
    monkeypatch.setattr(selection, "computes_bfloat16", lambda: bfloat16)
    named = "napari-smse[onnx]" in selection.describe_runtime(CPU, model_of())
    assert named is not (bfloat16 or installed)


def test_without_bfloat16_nothing_is_to_be_compared(machine: Machine) -> None:
    device = replace(CPU, precision="float32")
    assert choice_of(runtime_at_once(device, model_of())) == TORCH
    assert not machine.made


def test_where_somebody_waits_other_answers_are_not_taken_either(machine: Machine) -> None:
    machine.shift = {ROUNDED: 0.05}
    assert choice_of(runtime_at_once(WITH_BFLOAT16, model_of())) == TORCH


def test_it_is_known_later_how_runs_were_begun(machine: Machine) -> None:
    assert begun_at_once(WITH_BFLOAT16, model_of()) is None
    device = runtime_at_once(WITH_BFLOAT16, model_of())
    machine.made.clear()
    select_runtime(WITH_BFLOAT16, model_of("b" * 64))
    assert begun_at_once(WITH_BFLOAT16, model_of()) == device
    assert begun_at_once(WITH_BFLOAT16, model_of("b" * 64)) is None
    assert runtime_at_once(WITH_BFLOAT16, model_of()) == device


@pytest.mark.parametrize("name", ["cuda:0", "mps"])
def test_a_gpu_needs_no_measuring(name: str) -> None:
    device = replace(CPU, torch_name=name)
    assert runtime_at_once(device, model_of()) is device
    assert not needs_measuring(device, model_of())
