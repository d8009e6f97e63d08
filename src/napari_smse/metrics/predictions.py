"""Predictions for images by networks that saw none of their case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class HeldOutPredictions:
    """Held-out logits of images, each predicted by a network that saw none of its case.

    Attributes
    ----------
    images
        ``(n,)`` indices into the labelled set's images; published folds may test an
        image more than once.
    logits
        ``(n, classes)``, float32.
    folds, repeats
        ``(n,)`` fold and repeat that tested the image, from 0.
    """

    images: NDArray[np.int64]
    logits: Tensor
    folds: NDArray[np.int64]
    repeats: NDArray[np.int64]

    def __post_init__(self) -> None:
        lengths = {len(self.images), len(self.logits), len(self.folds), len(self.repeats)}
        if len(lengths) > 1 or self.logits.ndim != 2:
            raise ValueError(f"Held-out arrays of lengths {sorted(lengths)} do not fit together.")

    @classmethod
    def from_fold(
        cls, images: Sequence[int], logits: Tensor, fold: int = 0, repeat: int = 0
    ) -> HeldOutPredictions:
        """Return the predictions of one fold: indices ``(n,)``, logits ``(n, classes)``."""
        indices = np.asarray(images, dtype=np.int64)
        return cls(
            indices,
            logits.detach().float().cpu(),
            np.full(len(indices), fold, dtype=np.int64),
            np.full(len(indices), repeat, dtype=np.int64),
        )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """``(n, classes)``, the softmax of the logits."""
        return np.asarray(self.logits.double().softmax(dim=1).cpu().numpy())

    def part(self, chosen: NDArray[np.bool_]) -> HeldOutPredictions:
        """Return the rows marked in `chosen`, ``(n,)``."""
        rows = np.flatnonzero(chosen)
        logits = self.logits[rows.tolist()]
        return HeldOutPredictions(self.images[rows], logits, self.folds[rows], self.repeats[rows])


def join(parts: Sequence[HeldOutPredictions]) -> HeldOutPredictions:
    """Put folds and repeats together."""
    # Not at the top, as docks open and slides are looked at without torch.
    import torch

    return HeldOutPredictions(
        np.concatenate([part.images for part in parts]),
        torch.cat([part.logits for part in parts]),
        np.concatenate([part.folds for part in parts]),
        np.concatenate([part.repeats for part in parts]),
    )
