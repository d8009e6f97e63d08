"""What a network is worth on held-out tiles: calls, neighbours, and what it has not forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from napari_smse.metrics.predictions import HeldOutPredictions
from napari_smse.training.embeddings import EmbeddedTiles

RECALLS: Final = (1, 5)
_MOST_COMPARED: Final = 600


@dataclass(frozen=True)
class Assessment:
    """What a network says of held-out images.

    Attributes
    ----------
    held_out
        Logits of each image.
    recall
        By k: share of held-out tiles that have one of their class among the k nearest tiles
        learnt from.
    """

    held_out: HeldOutPredictions
    recall: dict[int, float]


def assess(held_out: EmbeddedTiles, logits: Tensor, learnt_from: EmbeddedTiles) -> Assessment:
    """Judge held-out tiles by their logits, and by the tiles learnt from.

    Parameters
    ----------
    held_out, learnt_from
        As the same network embeds them.
    logits
        ``(n, classes)`` of the held-out tiles.
    """
    images, means = held_out.image_means(logits)
    return Assessment(HeldOutPredictions.from_fold(images, means), recalls(held_out, learnt_from))


def recalls(
    queries: EmbeddedTiles, gallery: EmbeddedTiles, ks: Sequence[int] = RECALLS
) -> dict[int, float]:
    """Return by k how many queries have a tile of their class among the k nearest of the gallery.

    Distances are Euclidean, between embeddings of length 1.
    """
    alike = queries.embeddings @ gallery.embeddings.T
    nearest = alike.topk(min(max(ks), len(gallery)), dim=1).indices
    right = gallery.labels[nearest] == queries.labels[:, None]
    return {k: float(right[:, :k].any(dim=1).float().mean()) for k in ks}


def share_right(logits: Tensor, labels: Tensor) -> float:
    """Return the share of tiles that are called what they are."""
    return float((logits.argmax(dim=1) == labels).float().mean())


def separation(tiles: EmbeddedTiles) -> float:
    """Return how much further tiles of different classes lie apart than tiles of the same class.

    The difference of the two mean Euclidean distances, so 0 says that the embedding knows nothing
    of the classes; NaN if there is one class only. Of many tiles, some drawn at random, always
    the same, are compared.
    """
    # Not every so-manyth, which could all be of one class.
    order = torch.randperm(len(tiles), generator=torch.Generator().manual_seed(0))
    some = order[:_MOST_COMPARED]
    embeddings, labels = tiles.embeddings[some], tiles.labels[some]
    apart = torch.cdist(embeddings, embeddings)
    unlike = labels[:, None] != labels[None]
    alike = ~unlike & ~torch.eye(len(labels), dtype=torch.bool)
    return float(apart[unlike].mean() - apart[alike].mean())
