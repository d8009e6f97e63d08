"""Fine-tuning of a model's heads on the trunk's features: all that the frozen trunk sees.

An embedding holds what told the classes of the first training apart; what a new laboratory needs
may be lost in it. Here the embedding head itself changes, on tiles that are read anew and
augmented.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.finetuning.embedding_heads import EmbeddingHeads, initialise_class_head
from napari_smse.models.smse_network import NetworkOutput, SmseNetwork
from napari_smse.training.embeddings import EmbeddedTiles
from napari_smse.training.feature_cache import FeatureCache, TileFeatures

MAX_CROPS = 8
_TILES = 1200


class FeatureHeads(EmbeddingHeads):
    """A change of a model's embedding head, and a class head; fed with the trunk's features.

    Parameters
    ----------
    embedding_head, class_head
        To start from; copied.
    length
        Of the model's embeddings before they are normalised, the mean over some tiles.
    """

    base_weight: Tensor
    base_bias: Tensor
    inverse: Tensor

    def __init__(self, embedding_head: nn.Linear, class_head: nn.Linear, length: float) -> None:
        super().__init__(class_head)
        weight = embedding_head.weight.detach().float()
        self.register_buffer("base_weight", weight.clone())
        self.register_buffer("base_bias", embedding_head.bias.detach().float().clone())
        self.register_buffer("inverse", torch.linalg.pinv(weight))
        self.change = nn.Parameter(torch.zeros_like(weight))
        self._length = length

    def inputs_of(self, embeddings: Tensor) -> Tensor:
        """Return the smallest features ``(n, features)`` that the model embeds at these places.

        The true ones are not kept. What they hold beside these, the model's embedding does not
        show, and nothing here can guard.
        """
        return (embeddings * self._length - self.base_bias) @ self.inverse.T

    def folded(self, embedding_head: nn.Linear) -> tuple[Tensor, Tensor]:
        """Return weight and bias of an embedding head that does what these heads do."""
        return self.base_weight + self.change, self.base_bias

    def forward(self, embeddings: Tensor) -> NetworkOutput:
        """Return `NetworkOutput` of the trunk's features ``(n, features)``."""
        unscaled = embeddings @ (self.base_weight + self.change).T + self.base_bias
        embedding = functional.normalize(unscaled, dim=1)
        return NetworkOutput(embedding, self.class_head(embedding))


def initialise_feature_heads(
    network: SmseNetwork, tiles: EmbeddedTiles, model_classes: Sequence[str]
) -> FeatureHeads:
    """Return heads to tune on features.

    Parameters
    ----------
    network
        The model's.
    tiles
        To learn from; their embeddings are the trunk's features.
    model_classes
        The model's classes.
    """
    with torch.no_grad():
        unscaled = network.embedding_head(tiles.embeddings)
    embedded = tiles.moved(functional.normalize(unscaled, dim=1))
    length = float(torch.linalg.vector_norm(unscaled, dim=1).mean())
    return FeatureHeads(
        network.embedding_head, initialise_class_head(network, embedded, model_classes), length
    )


def feature_tiles(
    table: FeatureCache, labelled_set: LabelledSet, indices: Sequence[int], *, crops: bool
) -> EmbeddedTiles:
    """Return images' tiles with the trunk's features in place of embeddings.

    Parameters
    ----------
    table
        Has, or computes, the features.
    labelled_set, indices
        The images.
    crops
        Also the augmented crops of each image.
    """
    images = labelled_set.select(indices)
    parts: list[tuple[int, TileFeatures]] = []
    for number, image in enumerate(images):
        parts.append((number, table.evaluation_features(image)))
        if crops:
            parts.append((number, table.crops(image)))
    rows = [number for number, features in parts for _ in features.mpps]
    return EmbeddedTiles(
        torch.cat([features.values.float() for _, features in parts]),
        torch.tensor([images[row].label for row in rows]),
        torch.tensor([int(indices[row]) for row in rows]),
        torch.cat([features.mpps for _, features in parts]).float(),
        tuple(images[row].case for row in rows),
        tuple(images[row].source for row in rows),
        labelled_set.classes,
    )


def default_crops(images: int) -> int:
    """Return how many crops of each image to learn from: together about a minute's on a CPU."""
    return min(MAX_CROPS, max(1, _TILES // max(1, images)))
