"""Where the heads start from."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_smse.network.smse_network import SmseNetwork


def start_embedding(network: SmseNetwork, features: Tensor) -> None:
    """Let the embedding start as the principal components of standardised features.

    Pooled features share a large mean; from a random start, the L2-normalised
    embeddings of all tiles lie close together and training has first to undo that.

    Parameters
    ----------
    network
        Whose heads to set.
    features
        ``(n, features)`` pooled features of training crops, n at least the embedding's length.
    """
    mean, spread = features.mean(0), features.std(0) + 0.05
    scaled = (features - mean) / spread
    size = network.embedding_head.out_features
    _, values, directions = torch.pca_lowrank(scaled, size, niter=3)
    # The offset keeps the smallest components from being blown up to the largest ones' size.
    whitened = (directions / (values / len(features) ** 0.5 + 0.3)).T / spread
    with torch.no_grad():
        network.embedding_head.weight.copy_(whitened)
        network.embedding_head.bias.copy_(-whitened @ mean)
        # Embeddings have length 1, so logits of a usual size need larger weights.
        network.class_head.weight.mul_(5)
