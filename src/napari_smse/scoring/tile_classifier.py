"""Run a network on any number of tiles."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import DeviceError
from napari_smse.scoring.device import ComputeDevice
from napari_smse.scoring.runtimes.base import Prediction
from napari_smse.scoring.runtimes.factory import create_runner

if TYPE_CHECKING:
    from napari_smse.models import Model


class TileClassifier:
    """A network on a device, ready for tiles.

    The network sees batches of one size, the last one filled up, or single tiles: an output then
    depends on the tile alone, to the last bit, not on what else is in its batch.

    Parameters
    ----------
    model
        The loaded model.
    device
        Device to run on.
    threads
        CPU threads for the arithmetic of one call.
    """

    def __init__(self, model: Model, device: ComputeDevice, threads: int) -> None:
        self._model, self._device, self._threads = model, device, threads
        self._run = create_runner(model, device, threads)

    def clone(self) -> TileClassifier:
        """Return another classifier of the same network, for another thread."""
        clone = copy.copy(self)
        clone._run = self._run.clone()
        return clone

    def __call__(self, tiles: NDArray[np.uint8]) -> Prediction:
        """Classify tiles.

        Parameters
        ----------
        tiles
            RGB, (n, h, w, 3).

        Returns
        -------
        Probabilities (n, classes) and embeddings (n, d).

        Raises
        ------
        DeviceError
            If not even one tile fits in the device's memory; batches that do not are split.
        """
        parts = []
        while tiles.size:
            try:
                parts.append(self._batch(tiles[: self._device.batch_size]))
            except Exception as error:  # each runtime has classes of its own
                if not _out_of_memory(error):
                    raise
                self._halve(error)
                continue
            tiles = tiles[len(parts[-1][0]) :]
        probability, embedding = zip(*parts, strict=True)
        return np.concatenate(probability), np.concatenate(embedding)

    def _batch(self, tiles: NDArray[np.uint8]) -> Prediction:
        size = len(tiles) if self._run.one_by_one else self._device.batch_size
        probability, embedding = self._run(filled_up(tiles, size))
        return probability[: len(tiles)], embedding[: len(tiles)]

    def _halve(self, error: BaseException) -> None:
        """Take smaller batches from now on; runtimes other than torch are made for one size."""
        if self._device.batch_size == 1:
            raise DeviceError(
                f"{self._device.label} has too little free memory for a single tile: close what "
                "else uses it, or choose the device cpu."
            ) from error
        self._device = replace(self._device, batch_size=self._device.batch_size // 2)
        if self._device.runtime != "torch":
            self._run = create_runner(self._model, self._device, self._threads)


def filled_up(tiles: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return this many tiles, the missing ones black."""
    missing = size - len(tiles)
    if not missing:
        return np.ascontiguousarray(tiles)
    return np.concatenate([tiles, np.zeros((missing, *tiles.shape[1:]), dtype=np.uint8)])


def _out_of_memory(error: BaseException) -> bool:
    import torch

    # The CPU's allocator has no error of its own.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "alloc" in str(error).lower()
