"""Noise on a trunk's features, so that heads do not lean on single ones."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_smse.training.seeding import generator_of

_STREAM = 1
"""Beside the draws of the losses, which have the same seed and step."""


def with_noise(features: Tensor, strength: float, *, seed: int, step: int) -> Tensor:
    """Return features with normal noise.

    Parameters
    ----------
    features
        ``(n, features)`` of a batch.
    strength
        Standard deviation of the noise, in those of each feature over the batch; 0 leaves the
        features as they are.
    seed, step
        That the draws depend on.
    """
    if not strength:
        return features
    drawn = torch.randn(features.shape, generator=generator_of(seed, step, _STREAM))
    spread = features.detach().std(dim=0, keepdim=True)
    return features + strength * spread * drawn.to(features)
