"""What every network of this package returns."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class NetworkOutput(NamedTuple):
    """Embeddings and class logits of a batch of tiles.

    Attributes
    ----------
    embedding
        ``(n, d)`` float32.
    logits
        ``(n, classes)`` float32; softmax gives the probabilities.
    """

    embedding: Tensor
    logits: Tensor
