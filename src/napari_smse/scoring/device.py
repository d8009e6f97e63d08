"""The device that the network runs on: chosen once, shown by name, never changed silently."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from napari_smse.errors import DeviceError

Precision = Literal["float32", "bfloat16", "float16", "int8"]
PrecisionChoice = Literal["auto", "float32", "int8"]
"""What can be asked for; ``auto`` is the fastest that keeps float32's outputs, and never int8."""
Runtime = Literal["torch", "onnxruntime", "openvino"]
_ONEDNN_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
_WITH_BFLOAT16 = ("BF16", "FP16", "AMX", "AVX10")

# On a CPU, larger ones are slower: what the bundled network's layers need for 16 tiles, the C
# library takes from the system and gives back every time. Six would be a fifth faster in float32,
# but then answers depend, in the last bit, on the place in the batch.
_BATCH = {"cuda": 256, "mps": 64, "cpu": 8}

_READERS_BESIDE_CPU: Final = 2
_MOST_READERS: Final = 16
"""More threads wait for the disk, or for Python, rather than decode."""


@dataclass(frozen=True)
class Quantisation:
    """A network in int8: which one it is, and how far its outputs lie from those in float32.

    Parameters
    ----------
    network_sha256
        SHA-256 of the quantised network's weights and ranges.
    slides
        Number of slides that tiles were taken from.
    calibration_tiles, measured_tiles
        Number of their tiles that ranges were found on, and of others that deviations are of.
    largest_difference, mean_difference
        Of a probability, over the measured tiles.
    mean_cosine, smallest_cosine
        Of a tile's embeddings in int8 and in float32.
    """

    network_sha256: str
    slides: int
    calibration_tiles: int
    measured_tiles: int
    largest_difference: float
    mean_difference: float
    mean_cosine: float
    smallest_cosine: float

    @property
    def note(self) -> str:
        """What a reader of the results must know, in one line."""
        return (
            f"Scored in int8: {self.deviation}; take similar tiles and reference tiles as "
            "approximate."
        )

    @property
    def deviation(self) -> str:
        """How far outputs lie off, in words."""
        return (
            f"probabilities differ from float32's by {self.mean_difference:.3f} in the mean and up "
            f"to {self.largest_difference:.3f} ({self.measured_tiles} tiles), embeddings have a "
            f"cosine of {self.mean_cosine:.3f} with float32's in the mean and of "
            f"{self.smallest_cosine:.3f} at least"
        )


@dataclass(frozen=True)
class ComputeDevice:
    """A processor to run the network on.

    Parameters
    ----------
    torch_name
        Name in torch: ``cpu``, ``cuda:0`` or ``mps``.
    label
        Name for a person: ``CPU, AMD EPYC (2 cores)``.
    precision
        Number format of the arithmetic: the fastest that this processor has in
        hardware. Results are always float32.
    batch_size
        Tiles given to the network at once.
    runtime
        Library that computes the network.
    quantisation
        Of the network, in int8.
    """

    torch_name: str
    label: str
    precision: Precision
    batch_size: int
    runtime: Runtime = "torch"
    quantisation: Quantisation | None = None

    @property
    def how(self) -> str:
        """Device, runtime and precision: ``CPU, AMD EPYC (2 cores), torch in bfloat16``."""
        return f"{self.label}, {self.runtime} in {self.precision}"


def list_devices() -> list[ComputeDevice]:
    """Every usable device of this machine, the fastest kind first."""
    import torch

    devices = [
        _device(f"cuda:{number}", f"GPU, {torch.cuda.get_device_name(number)}", "float16")
        for number in range(torch.cuda.device_count())
    ]
    if torch.backends.mps.is_available():
        devices.append(_device("mps", "GPU, Apple Metal", "float32"))
    precision: Precision = "bfloat16" if computes_bfloat16() else "float32"
    devices.append(_device("cpu", f"CPU, {_cpu_name()} ({os.cpu_count()} cores)", precision))
    return devices


def choose_device(name: str = "auto", *, exact: bool = False) -> ComputeDevice:
    """The device of this name, or the fastest for ``auto``.

    Parameters
    ----------
    name
        ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    exact
        Compute in float32 even where something else is faster.

    Raises
    ------
    DeviceError
        If this machine has no such device. There is no fall-back to the CPU:
        a run of minutes must not become one of hours unnoticed.
    """
    devices = list_devices()
    if exact:
        devices = [replace(device, precision="float32") for device in devices]
    if name == "auto":
        return devices[0]
    torch_name = "cuda:0" if name == "cuda" else name
    for device in devices:
        if device.torch_name == torch_name:
            return device
    offered = ", ".join(device.torch_name for device in devices)
    raise DeviceError(
        f"There is no device {name!r} on this machine: choose auto or one of {offered}. "
        "`napari-smse doctor` tells why a GPU is not seen."
    )


def first_device(names: str) -> str:
    """Return the first of names separated by commas, for what needs one device only."""
    return names.split(",")[0].strip()


def choose_devices(names: str = "auto", *, exact: bool = False) -> list[ComputeDevice]:
    """Several devices that share a run's tiles, or one.

    Parameters
    ----------
    names
        Names separated by commas, each as for `choose_device`.
    exact
        As for `choose_device`.

    Raises
    ------
    DeviceError
        If there is no such device, one is named twice, or they compute in other numbers: then it
        would be chance by which a tile is scored.
    """
    chosen = [choose_device(name.strip(), exact=exact) for name in names.split(",")]
    if len(set(chosen)) < len(chosen):
        raise DeviceError(f"{names!r} names a device twice: name each once.")
    if len({(device.precision, device.runtime) for device in chosen}) > 1:
        raise DeviceError(
            f"{names!r} names devices that compute differently: choose devices of one kind, "
            "such as cuda:0,cuda:1, or in a shell add --float32."
        )
    return chosen


def usable_cores() -> int:
    """How many CPU cores this process may use: a job on a shared machine has some of them only."""
    if hasattr(os, "sched_getaffinity"):  # neither Windows nor macOS has it
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def reading_threads(
    devices: ComputeDevice | Sequence[ComputeDevice], cores: int | None = None
) -> int:
    """How many threads read a slide for these devices.

    A network on the CPU needs the cores itself, one on a GPU leaves them free, and would starve
    behind two.

    Parameters
    ----------
    devices
        What the network runs on.
    cores
        How many this process may use; by default all that it has.
    """
    several = [devices] if isinstance(devices, ComputeDevice) else devices
    if all(device.torch_name == "cpu" for device in several):
        return _READERS_BESIDE_CPU
    return min(_MOST_READERS, max(_READERS_BESIDE_CPU, (cores or usable_cores()) - 1))


def viewer_reading_threads(device: ComputeDevice, cores: int) -> int:
    """How many threads read a slide while a viewer is used, of so many cores that it can spare."""
    return 1 if device.torch_name == "cpu" else reading_threads(device, cores)


def _device(torch_name: str, label: str, precision: Precision) -> ComputeDevice:
    return ComputeDevice(torch_name, label, precision, _BATCH[torch_name.partition(":")[0]])


def computes_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 itself; where it only emulates it, float32 is faster."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists() or not _onednn_may_use_bfloat16():
        return False
    words = cpuinfo.read_text().split()
    return "avx512_bf16" in words or "amx_bf16" in words


def _onednn_may_use_bfloat16() -> bool:
    """Whether oneDNN is not told to use older instructions only, with which it refuses bfloat16."""
    limits = (os.environ.get(name, "").upper() for name in _ONEDNN_LIMITS)
    return all(
        limit in {"", "ALL", "DEFAULT"} or any(name in limit for name in _WITH_BFLOAT16)
        for limit in limits
    )


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
