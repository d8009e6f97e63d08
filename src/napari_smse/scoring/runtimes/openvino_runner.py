"""A network run by OpenVINO on the CPU."""

from __future__ import annotations

import copy
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from napari_smse.scoring.device import ComputeDevice
from napari_smse.scoring.runtimes.base import Prediction, unreported
from napari_smse.scoring.runtimes.batchnorm_folding import fold_batchnorm
from napari_smse.scoring.runtimes.converted_network import (
    ExportableNetwork,
    convert_once,
    converting,
)
from napari_smse.scoring.runtimes.network_archive import ConvertedFiles
from napari_smse.scoring.runtimes.quantised_network import NETWORK_FILES, quantised_files

if TYPE_CHECKING:
    from napari_smse.models import Model

with unreported():
    import openvino


class OpenVinoRunner:
    """Runs a network in OpenVINO's form, batch by batch.

    Parameters
    ----------
    converted
        The network, for batches of one size.
    threads
        CPU threads for arithmetic.
    """

    one_by_one = False

    def __init__(self, converted: openvino.Model, threads: int) -> None:
        self._converted = converted
        self._settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._compile()

    @classmethod
    def from_model(cls, model: Model, device: ComputeDevice, threads: int) -> OpenVinoRunner:
        """Return the runner of a model, in float32 or as it was quantised.

        Parameters
        ----------
        model
            The loaded model; its network is not changed.
        device
            Its batch size is the number of tiles of every call.
        threads
            CPU threads for arithmetic.

        Raises
        ------
        DeviceError
            The int8 network that the device is to run is not here.
        """
        if device.precision == "int8":
            files = quantised_files(model.card, device.quantisation)
            return cls.from_files(files, model.card.tile_px, device.batch_size, threads)
        network = ExportableNetwork(fold_batchnorm(model.network).cpu())
        tiles = network.example(model.card.tile_px, device.batch_size)
        files = convert_once(
            network, tiles, "openvino", lambda: model_files(_converted(network, tiles, len(tiles)))
        )
        return cls.from_files(files, model.card.tile_px, device.batch_size, threads)

    @classmethod
    def from_files(
        cls, files: ConvertedFiles, tile_px: int, batch_size: int, threads: int
    ) -> OpenVinoRunner:
        """Return the runner of files, as `model_files` gives them."""
        converted = openvino.Core().read_model(*(files[name] for name in NETWORK_FILES))
        if converted.is_dynamic():
            converted.reshape(openvino.PartialShape([batch_size, tile_px, tile_px, 3]))
        return cls(converted, threads)

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


def converted_model(model: Model) -> openvino.Model:
    """Return a model's network in OpenVINO's form, for batches of any size."""
    network = ExportableNetwork(fold_batchnorm(model.network).cpu())
    with converting():
        return _converted(network, network.example(model.card.tile_px, 2), -1)


def model_files(converted: openvino.Model) -> ConvertedFiles:
    """Return the files of a network in OpenVINO's form."""
    with tempfile.TemporaryDirectory() as folder:
        openvino.save_model(converted, Path(folder, NETWORK_FILES[0]), compress_to_fp16=False)
        return {name: Path(folder, name).read_bytes() for name in NETWORK_FILES}


def _converted(network: ExportableNetwork, tiles: torch.Tensor, batch_size: int) -> openvino.Model:
    with warnings.catch_warnings(), torch.no_grad(), unreported():
        # It traces the network, which warns of Python numbers that stay as they are.
        warnings.simplefilter("ignore")
        return openvino.convert_model(
            network,
            example_input=tiles,
            input=[openvino.PartialShape([batch_size, *tiles.shape[1:]])],
        )
