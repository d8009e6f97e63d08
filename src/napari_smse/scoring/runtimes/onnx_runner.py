"""A network run by ONNX Runtime on the CPU."""

from __future__ import annotations

import io
import logging
import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from napari_smse.scoring.device import ComputeDevice
from napari_smse.scoring.runtimes.base import Prediction
from napari_smse.scoring.runtimes.batchnorm_folding import fold_batchnorm
from napari_smse.scoring.runtimes.converted_network import ExportableNetwork, convert_once
from napari_smse.scoring.runtimes.network_archive import ConvertedFiles

if TYPE_CHECKING:
    from napari_smse.models import Model

_FILE: Final = "network.onnx"
onnxruntime.disable_telemetry_events()  # which it hands to Windows for its makers


class OnnxRunner:
    """Runs a network that is exported to ONNX, in float32, tile by tile.

    In batches of any size, answers depend, in the last bit, on a tile's place in the batch; and
    single tiles are no slower on a CPU.

    Parameters
    ----------
    model
        The loaded model; its network is not changed.
    device
        The CPU.
    threads
        CPU threads for arithmetic.
    """

    one_by_one = True

    def __init__(self, model: Model, device: ComputeDevice, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Threads that wait for work by counting take the cores that reading needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        exported = _exported(model)
        self._session = onnxruntime.InferenceSession(
            exported, options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name

    def __call__(self, tiles: NDArray[np.uint8]) -> Prediction:
        """Classify RGB tiles (n, h, w, 3)."""
        answers = [self._session.run(None, {self._input: tile[np.newaxis]}) for tile in tiles]
        probability, embedding = (np.concatenate(parts) for parts in zip(*answers, strict=True))
        return probability, embedding

    def clone(self) -> OnnxRunner:
        """Return itself: a session takes calls from several threads."""
        return self


def _exported(model: Model) -> bytes:
    network = ExportableNetwork(fold_batchnorm(model.network).cpu())
    tiles = network.example(model.card.tile_px, 1)

    def export() -> ConvertedFiles:
        # The exporter tells of its own progress and of what it deprecated itself.
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program: Any = torch.onnx.export(network, (tiles,), dynamo=True, verbose=False)
        buffer = io.BytesIO()
        program.save(buffer)
        return {_FILE: buffer.getvalue()}

    return convert_once(network, tiles, "onnxruntime", export)[_FILE]
