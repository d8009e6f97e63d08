"""A network run by OpenVINO on the CPU."""

from __future__ import annotations

import copy
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import openvino
import torch
from numpy.typing import NDArray

from napari_smse.scoring.device import ComputeDevice
from napari_smse.scoring.runtimes.base import Prediction
from napari_smse.scoring.runtimes.batchnorm_folding import fold_batchnorm
from napari_smse.scoring.runtimes.converted_network import (
    ConvertedFiles,
    ExportableNetwork,
    convert_once,
)

if TYPE_CHECKING:
    from napari_smse.models import Model

_MODEL: Final = "network.xml"
_WEIGHTS: Final = "network.bin"


class OpenVinoRunner:
    """Runs a network that is converted to OpenVINO's form, in float32.

    Parameters
    ----------
    model
        The loaded model; its network is not changed.
    device
        Its batch size is the number of tiles of every call.
    threads
        CPU threads for arithmetic.
    """

    def __init__(self, model: Model, device: ComputeDevice, threads: int) -> None:
        network = ExportableNetwork(fold_batchnorm(model.network).cpu())
        tiles = network.example(model.card.tile_px, device.batch_size)
        files = convert_once(network, tiles, "openvino", lambda: _converted(network, tiles))
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._converted = openvino.Core().read_model(files[_MODEL], files[_WEIGHTS])
        self._settings = settings
        self._compile()

    def _compile(self) -> None:
        self._compiled = openvino.Core().compile_model(self._converted, "CPU", self._settings)

    def clone(self) -> OpenVinoRunner:
        """Return another runner of the same network, with threads of its own."""
        clone = copy.copy(self)
        clone._compile()
        return clone

    def __call__(self, tiles: NDArray[np.uint8]) -> Prediction:
        """Classify RGB tiles (n, h, w, 3)."""
        outputs = self._compiled(tiles)
        # Copies, as the next call writes into the same memory.
        probability, embedding = (np.array(outputs[number]) for number in (0, 1))
        return probability, embedding


def _converted(network: ExportableNetwork, tiles: torch.Tensor) -> ConvertedFiles:
    with warnings.catch_warnings(), torch.no_grad():
        # It traces the network, which warns of Python numbers that stay as they are.
        warnings.simplefilter("ignore")
        model = openvino.convert_model(
            network, example_input=tiles, input=[openvino.PartialShape(list(tiles.shape))]
        )
    with tempfile.TemporaryDirectory() as folder:
        openvino.save_model(model, Path(folder, _MODEL), compress_to_fp16=False)
        return {name: Path(folder, name).read_bytes() for name in (_MODEL, _WEIGHTS)}
