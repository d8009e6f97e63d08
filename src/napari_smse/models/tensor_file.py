"""A matrix as a file of torch's own, for programs that read nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray


def write_tensor(path: Path, values: NDArray[np.float32]) -> None:
    """Write an array as a bare tensor, such as ``torch.load(path, weights_only=True)`` reads.

    Raises
    ------
    OSError
        It cannot be written.
    """
    with path.open("wb") as stream:
        torch.save(torch.from_numpy(np.ascontiguousarray(values)), stream)
