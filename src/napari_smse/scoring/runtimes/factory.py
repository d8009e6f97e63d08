"""What computes a network on a device: torch, or ONNX Runtime or OpenVINO where they are faster."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

from napari_smse.errors import DeviceError
from napari_smse.scoring.device import ComputeDevice
from napari_smse.scoring.runtimes.base import EXTRAS, TileRunner, is_installed

if TYPE_CHECKING:
    from torch import nn

    from napari_smse.models import Model

_RunnerKey = tuple[ComputeDevice, int, tuple[int, ...]]
_ready: weakref.WeakKeyDictionary[nn.Module, tuple[_RunnerKey, TileRunner]] = (
    weakref.WeakKeyDictionary()
)
_making = threading.Lock()


def create_runner(model: Model, device: ComputeDevice, threads: int) -> TileRunner:
    """Make a network ready on a device, or take the runner that is ready already.

    Making takes a fraction of a second by torch and seconds by the others. What is ready is
    forgotten with the network, and when its weights have changed.

    Parameters
    ----------
    model
        The loaded model; its network is not changed.
    device
        Where to run. `batch_size` tiles are what it is made ready for.
    threads
        CPU threads for the arithmetic of one call.

    Raises
    ------
    DeviceError
        If the runtime is not installed.
    """
    key = device, threads, _state(model.network)
    with _making:
        cached = _ready.get(model.network)
        if cached is not None and cached[0] == key:
            return cached[1].clone()
        runner = build_runner(model, device, threads)
        _ready[model.network] = key, runner
    return runner


def _state(network: nn.Module) -> tuple[int, ...]:
    """What changes whenever weights are written to: torch counts that for each tensor."""
    return tuple(tensor._version for tensor in network.state_dict(keep_vars=True).values())


def build_runner(model: Model, device: ComputeDevice, threads: int) -> TileRunner:
    """Make a network ready on a device, as `create_runner` does, whatever is ready."""
    if not is_installed(device.runtime):
        raise DeviceError(
            f"{device.runtime} is not installed: run pip install "
            f'"napari-smse[{EXTRAS[device.runtime]}]", or choose another runtime.'
        )
    if device.runtime == "onnxruntime":
        from napari_smse.scoring.runtimes.onnx_runner import OnnxRunner

        return OnnxRunner(model, device, threads)
    if device.runtime == "openvino":
        from napari_smse.scoring.runtimes.openvino_runner import OpenVinoRunner

        return OpenVinoRunner.from_model(model, device, threads)
    from napari_smse.scoring.runtimes.torch_runner import TorchRunner

    return TorchRunner(model, device, threads)
