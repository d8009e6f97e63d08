"""Run a network on tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import DeviceError
from napari_smse.scoring.device import ComputeDevice

if TYPE_CHECKING:
    from napari_smse.network import Model


class TileClassifier:
    """A network on a device, ready for tiles.

    Parameters
    ----------
    model
        The loaded model; its network is moved to the device.
    device
        Where to run.
    threads
        CPU threads for arithmetic. It holds for the thread that makes the
        classifier, as OpenMP counts threads per caller.
    """

    def __init__(self, model: Model, device: ComputeDevice, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self._device = torch.device(device.torch_name)
        self._precision = getattr(torch, device.precision)
        network = model.network.eval().to(self._device)
        self._network = network.to(memory_format=torch.channels_last)
        self._label = device.label
        self._most = device.batch_size

    def __call__(self, tiles: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
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
        import torch

        parts = []
        while tiles.size:
            try:
                parts.append(self._classified(tiles[: self._most]))
            except torch.OutOfMemoryError as error:
                if self._most == 1:
                    raise DeviceError(
                        f"{self._label} has too little free memory for a single tile: close what "
                        "else uses it, or choose the device cpu."
                    ) from error
                self._most = max(1, min(self._most, len(tiles)) // 2)
                continue
            tiles = tiles[len(parts[-1][0]) :]
        probability, embedding = zip(*parts, strict=True)
        return np.concatenate(probability), np.concatenate(embedding)

    def _classified(
        self, tiles: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        import torch

        mixed = self._precision != torch.float32
        images = torch.from_numpy(tiles).permute(0, 3, 1, 2).to(self._device)
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, dtype=self._precision, enabled=mixed),
        ):
            output = self._network(images)
            probability = output.logits.float().softmax(dim=1)
        return probability.cpu().numpy(), output.embedding.float().cpu().numpy()
