"""What a runtime is: a network made ready to classify tiles, and what has to be installed."""

from __future__ import annotations

from importlib import util
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_smse.scoring.device import Runtime

Prediction = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Probabilities (n, classes) and embeddings (n, d)."""

EXTRAS: Final[dict[Runtime, str]] = {"onnxruntime": "onnx", "openvino": "openvino"}
"""The extra of this package that brings a runtime; torch is always there."""

_NEEDED: Final[dict[Runtime, tuple[str, ...]]] = {
    "torch": ("torch",),
    "onnxruntime": ("onnxruntime", "onnx", "onnxscript"),
    "openvino": ("openvino",),
}


class TileRunner(Protocol):
    """A network ready to classify tiles; one thread at a time may call it."""

    def __call__(self, tiles: NDArray[np.uint8]) -> Prediction:
        """Classify RGB tiles (n, h, w, 3)."""
        ...

    def clone(self) -> TileRunner:
        """Return another runner of the same network, for another thread."""
        ...


def is_installed(runtime: Runtime) -> bool:
    """Whether everything that a runtime needs is there; nothing is imported."""
    return all(util.find_spec(package) is not None for package in _NEEDED[runtime])
