import os
from dataclasses import replace

import pytest

from napari_smse.errors import DeviceError
from napari_smse.scoring import choose_device, choose_devices, list_devices
from napari_smse.scoring.device import (
    ComputeDevice,
    computes_bfloat16,
    reading_threads,
    usable_cores,
    viewer_reading_threads,
)


def test_auto_is_the_first_and_the_cpu_is_always_there():
    devices = list_devices()
    assert choose_device("auto") == devices[0]
    cpu = choose_device("cpu")
    assert cpu.label.startswith("CPU, ")
    assert cpu.precision in ("float32", "bfloat16")
    assert cpu.batch_size == 8


@pytest.mark.parametrize("wanted", ["cuda:99", "tpu", ""])
def test_a_device_that_is_not_there_is_an_error_not_the_cpu(wanted):
    with pytest.raises(DeviceError, match=r"choose auto or one of.*cpu"):
        choose_device(wanted)


@pytest.fixture
def two_gpus(monkeypatch):
    cpu = choose_device("cpu", exact=True)
    gpus = [
        replace(cpu, torch_name=f"cuda:{number}", label="GPU", precision="float16")
        for number in range(2)
    ]
    monkeypatch.setattr("napari_smse.scoring.device.list_devices", lambda: [*gpus, cpu])


@pytest.mark.usefixtures("two_gpus")
class TestSeveral:
    def test_they_are_named_with_commas(self):
        names = [device.torch_name for device in choose_devices("cuda:0, cuda:1")]
        assert names == ["cuda:0", "cuda:1"]

    def test_one_stays_one(self):
        assert [device.torch_name for device in choose_devices("auto")] == ["cuda:0"]

    def test_the_same_twice_is_refused(self):
        with pytest.raises(DeviceError, match="names a device twice"):
            choose_devices("cuda,cuda:0")

    def test_those_that_compute_differently_are_refused_unless_all_compute_exactly(self):
        with pytest.raises(DeviceError, match="compute differently"):
            choose_devices("cuda:0,cpu")
        exact = choose_devices("cuda:0,cpu", exact=True)
        assert {device.precision for device in exact} == {"float32"}


@pytest.mark.parametrize("limit", ["SSE41", "AVX2", "avx2", "AVX512_CORE", "AVX512_CORE_VNNI"])
def test_bfloat16_is_not_chosen_where_onednn_may_not_use_it(
    monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """It refuses every convolution then, whatever the CPU could do."""
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert not computes_bfloat16()
    assert list_devices()[-1].precision == "float32"


@pytest.mark.parametrize("limit", ["", "ALL", "AVX512_CORE_BF16", "AVX512_CORE_AMX"])
def test_other_limits_of_onednn_change_nothing(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    without = computes_bfloat16()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert computes_bfloat16() == without


def test_a_job_uses_the_cores_it_was_given_and_no_others(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {3, 5, 7}, raising=False)
    assert usable_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert usable_cores() == 64


GPU = ComputeDevice("cuda:0", "GPU", "float16", 256)
CPU = ComputeDevice("cpu", "CPU", "float32", 8)


@pytest.mark.parametrize(
    ("devices", "cores", "threads"),
    [
        (CPU, 64, 2),
        ([GPU, GPU], 8, 7),
        (GPU, 1, 2),
        (GPU, 128, 16),
    ],
)
def test_a_gpu_is_fed_by_all_cores_but_one(
    devices: ComputeDevice | list[ComputeDevice], cores: int, threads: int
) -> None:
    assert reading_threads(devices, cores) == threads


def test_in_a_viewer_a_cpu_is_left_to_the_network_and_the_window() -> None:
    assert viewer_reading_threads(CPU, 7) == 1
    assert viewer_reading_threads(GPU, 7) == 6
