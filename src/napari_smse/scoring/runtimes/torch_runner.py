"""A network run by torch."""

from __future__ import annotations

import contextlib
import copy
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_smse.models.generated_tiles import generated_tile
from napari_smse.scoring.device import ComputeDevice
from napari_smse.scoring.runtimes.base import Prediction
from napari_smse.scoring.runtimes.batchnorm_folding import fold_batchnorm
from napari_smse.scoring.runtimes.bfloat16 import in_bfloat16
from napari_smse.scoring.runtimes.malloc import retain_freed_memory

if TYPE_CHECKING:
    from napari_smse.models import Model

_CALIBRATION_TILES: Final = 8
_FOLDING_ERROR: Final = 1e-3
_log = logging.getLogger(__name__)


class TorchRunner:
    """Runs a copy of a network made for inference: on a GPU, on a stream of its own.

    Several runners of one GPU overlap their copies and their arithmetic, as each waits for
    its own stream only.

    Parameters
    ----------
    model
        The loaded model; its network is not changed.
    device
        Device to run on, and its precision.
    threads
        CPU threads for arithmetic.
    """

    one_by_one = False

    def __init__(self, model: Model, device: ComputeDevice, threads: int) -> None:
        self._device = torch.device(device.torch_name)
        if self._device.type == "cpu":
            retain_freed_memory()
        self._threads = threads
        # For this thread: beside a busy viewer, two threads that wait for each other after every
        # layer take ten times as long as one.
        torch.set_num_threads(threads)
        folded = inference_network(model.network, model.card.tile_px, device)
        if folded is model.network and self._device.type != "cpu":
            # The model's own stays where it is.
            folded = copy.deepcopy(folded)
        self._network = folded.to(self._device)
        self._autocast = _autocast(folded, device)
        self._on_gpu = self._device.type == "cuda"
        self._make_thread_local()

    def _make_thread_local(self) -> None:
        """Make what no other thread may use: the stream, and the buffer to copy tiles from."""
        self._stream: Any = torch.cuda.Stream(self._device) if self._on_gpu else None  # type: ignore[no-untyped-call]
        self._pinned: Tensor | None = None

    def clone(self) -> TorchRunner:
        """Return another runner of the same network, for another thread."""
        clone = copy.copy(self)
        clone._make_thread_local()
        return clone

    def __call__(self, tiles: NDArray[np.uint8]) -> Prediction:
        """Classify RGB tiles (n, h, w, 3)."""
        # Here, as OpenMP counts threads for each thread that calls it.
        torch.set_num_threads(self._threads)
        with torch.inference_mode(), self._in_stream():
            images = self._on_device(tiles).permute(0, 3, 1, 2)
            with torch.autocast(
                self._device.type, dtype=self._autocast, enabled=self._autocast is not None
            ):
                output = self._network(images)
            probability = output.logits.float().softmax(dim=1).cpu()
            return probability.numpy(), output.embedding.float().cpu().numpy()

    @contextlib.contextmanager
    def _in_stream(self) -> Iterator[None]:
        with torch.cuda.stream(self._stream) if self._stream else contextlib.nullcontext():
            yield

    def _on_device(self, tiles: NDArray[np.uint8]) -> Tensor:
        images = torch.from_numpy(tiles)
        if self._stream is None:
            return images.to(self._device)
        # Only from pinned memory is a copy made while the GPU computes. The buffer is free again,
        # as results of the batch before were waited for.
        if self._pinned is None or len(self._pinned) < len(images):
            self._pinned = torch.empty(images.shape, dtype=torch.uint8, pin_memory=True)
        return self._pinned[: len(images)].copy_(images).to(self._device, non_blocking=True)


def inference_network(network: nn.Module, tile_px: int, device: ComputeDevice) -> nn.Module:
    """Return the fastest form of a network that torch has for a device, with the same outputs.

    Normalisations are folded into convolutions, and on a CPU that computes in bfloat16 the
    convolutions do. A network for which folding changes the answers is taken as it is.
    """
    network.eval()
    if not any(isinstance(module, nn.Conv2d) for module in network.modules()):
        return network
    tiles = _generated_tiles(tile_px).to(next(network.parameters()).device)
    folded = fold_batchnorm(network)
    if not _same_probabilities(network, folded, tiles):
        _log.warning("This network cannot be made leaner: it runs as it was built.")
        return copy.deepcopy(network).to(memory_format=torch.channels_last)
    if device.torch_name == "cpu" and device.precision == "bfloat16":
        return in_bfloat16(folded.cpu(), tiles.cpu())
    return folded


def _generated_tiles(tile_px: int) -> Tensor:
    tiles = [generated_tile(number, tile_px, tile_px) for number in range(_CALIBRATION_TILES)]
    return torch.from_numpy(np.stack(tiles)).permute(0, 3, 1, 2)


def _same_probabilities(network: nn.Module, folded: nn.Module, tiles: Tensor) -> bool:
    with torch.inference_mode():
        before, after = (module(tiles[:2]).logits.softmax(dim=1) for module in (network, folded))
    return bool((before - after).abs().max() < _FOLDING_ERROR)


def _autocast(folded: nn.Module, device: ComputeDevice) -> Any:
    """The type torch is to cast to by itself; None where the network has it built in."""
    built_in = any("Bfloat16" in type(module).__name__ for module in folded.modules())
    if device.precision == "float32" or built_in:
        return None
    return getattr(torch, device.precision)
