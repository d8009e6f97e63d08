"""The embedding network: trunk, embedding head, class head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_smse.models.trunk import (
    DEFAULT_TRUNK,
    Trunk,
    build_trunk,
    normalisation,
    tissue_weights,
)


class SmseNetwork(nn.Module):
    """Trunk, then a linear embedding, L2-normalised, then a linear class head on it.

    The class is read off the embedding and nothing else, so what a class is, is
    where its tiles lie in the embedding space.

    Parameters
    ----------
    trunk
        Name for `build_trunk`, or a trunk that is built already.
    embedding_dim
        Length of the embedding.
    classes
        Number of classes.
    """

    input_size: tuple[int, int] | None = None
    mean: Tensor
    std: Tensor

    def __init__(
        self, trunk: str | Trunk = DEFAULT_TRUNK, embedding_dim: int = 128, classes: int = 2
    ) -> None:
        super().__init__()
        self.trunk: Trunk = build_trunk(trunk) if isinstance(trunk, str) else trunk
        self.trunk_name = trunk if isinstance(trunk, str) else trunk.name
        self.embedding_head = nn.Linear(self.trunk.features, embedding_dim)
        self.class_head = nn.Linear(embedding_dim, classes)
        mean, std = normalisation(self.trunk)
        # Buffers, so that a checkpoint carries the normalisation its trunk was trained with.
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def normalise(self, images: Tensor) -> Tensor:
        """Return RGB 0..255 (uint8 or float) as the trunk expects it, channels last."""
        scaled = (images.to(self.mean.dtype) - self.mean) / self.std
        return scaled.contiguous(memory_format=torch.channels_last)

    def trunk_inputs(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return what the trunk takes of RGB 0..255 images: normalised, and how much is tissue."""
        tissue = tissue_weights(images) if self.trunk.pools_tissue else None
        return self.normalise(images), tissue

    def features(self, images: Tensor) -> Tensor:
        """Return the trunk's pooled features ``(n, features)`` of RGB 0..255 images."""
        return cast("Tensor", self.trunk(*self.trunk_inputs(images)))

    def head(self, features: Tensor) -> NetworkOutput:
        """Return embedding and logits of pooled features, in float32 even under autocast."""
        with torch.autocast(features.device.type, enabled=False):
            raw = self.embedding_head(features.to(self.embedding_head.weight.dtype))
            embedding = functional.normalize(raw.float(), dim=1)
            logits = self.class_head(embedding.to(self.class_head.weight.dtype))
        return NetworkOutput(embedding, logits.float())

    def forward(self, images: Tensor) -> NetworkOutput:
        """Return `NetworkOutput` of images ``(n, 3, h, w)``, uint8 or float RGB 0..255."""
        return self.head(self.features(images))


def embedding_network(trunk: Trunk) -> SmseNetwork:
    """Return a network that embeds a tile as its trunk's features, and knows one class alone."""
    network = SmseNetwork(trunk, trunk.features, classes=1)
    with torch.no_grad():
        nn.init.eye_(network.embedding_head.weight)
        nn.init.zeros_(network.embedding_head.bias)
    return network.requires_grad_(False)


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


def stored_state(network: nn.Module) -> dict[str, Tensor]:
    """Return the tensors that a model's file holds: all, or not those of a trunk stored apart."""
    state = network.state_dict()
    if isinstance(network, SmseNetwork) and network.trunk.is_stored_apart:
        return {name: tensor for name, tensor in state.items() if not name.startswith("trunk.")}
    return state


def load_stored_state(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a network what `stored_state` returned.

    Raises
    ------
    RuntimeError
        Tensors are missing, are too many, or of other shapes.
    """
    missing = sorted(set(stored_state(network)) - set(tensors))
    if missing:
        raise RuntimeError(f"{missing[0]} is missing")
    found = network.load_state_dict(tensors, strict=False)
    if found.unexpected_keys:
        raise RuntimeError(f"{found.unexpected_keys[0]} is not of this network")


def initialise_from_features(network: SmseNetwork, features: Tensor) -> None:
    """Let the embedding start as the principal components of standardised features.

    Pooled features share a large mean; from a random start, the L2-normalised
    embeddings of all tiles lie close together and training has first to undo that.

    Parameters
    ----------
    network
        Network whose heads to set.
    features
        ``(n, features)`` pooled features of training crops. Where they are fewer than the
        embedding is long, its last components stay random; from fewer than two, all do.
    """
    if len(features) < 2:
        return
    mean, spread = features.mean(0), features.std(0) + 0.05
    scaled = (features - mean) / spread
    size = min(network.embedding_head.out_features, *scaled.shape)
    _, values, directions = torch.pca_lowrank(scaled, size, niter=3)
    # The offset keeps the smallest components from being blown up to the largest ones' size.
    whitened = (directions / (values / len(features) ** 0.5 + 0.3)).T / spread
    with torch.no_grad():
        network.embedding_head.weight[:size] = whitened
        network.embedding_head.bias[:size] = -whitened @ mean
        # Embeddings have length 1, so logits of a usual size need larger weights.
        network.class_head.weight.mul_(5)
