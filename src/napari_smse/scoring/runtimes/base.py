"""What a runtime is: a network made ready to classify tiles, and what has to be installed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
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
    """A network ready to classify tiles; one thread at a time may call it.

    Attributes
    ----------
    one_by_one
        Whether it takes any number of tiles, as it runs on each for itself; if not, answers
        depend, in the last bit, on how many there are, or it takes one number alone.
    """

    one_by_one: bool

    def __call__(self, tiles: NDArray[np.uint8]) -> Prediction:
        """Classify RGB tiles (n, h, w, 3)."""
        ...

    def clone(self) -> TileRunner:
        """Return another runner of the same network, for another thread."""
        ...


def is_installed(runtime: Runtime) -> bool:
    """Whether everything that a runtime needs is there; nothing is imported."""
    return all(util.find_spec(package) is not None for package in _NEEDED[runtime])


@contextlib.contextmanager
def unreported() -> Iterator[None]:
    """Keep a library from sending what it is used for to its makers, over the network.

    OpenVINO does so when it is imported and when it converts, unless its user opted out, or in a CI
    job, which it knows by a variable; NNCF has one of its own.
    """
    before = {name: os.environ.get(name) for name in ("CI", "NNCF_CI")}
    os.environ.update(CI="true", NNCF_CI="1")
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
