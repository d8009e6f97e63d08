"""Assessment of a network on held-out tiles: accuracy, recall of neighbours, separation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_smse.finetuning.embedding_heads import EmbeddingHeads
from napari_smse.metrics.estimate import Estimate, mean_estimate, share_estimate
from napari_smse.metrics.predictions import HeldOutPredictions
from napari_smse.training.embeddings import EmbeddedTiles

RECALLS: Final = (1, 5)
_MAX_COMPARED: Final = 600


@dataclass(frozen=True)
class Assessment:
    """Predictions of a network for held-out images.

    Attributes
    ----------
    held_out
        Logits of each image.
    hits
        By k, ``(n,)``: whether each held-out tile has one of its class among the k nearest tiles
        learnt from.
    cases
        ``(n,)``, of these tiles.
    """

    held_out: HeldOutPredictions
    hits: dict[int, NDArray[np.bool_]]
    cases: tuple[str, ...]

    @property
    def recall(self) -> dict[int, Estimate]:
        """By k, the share of held-out tiles with one of their class among the k nearest."""
        return {k: share_estimate(hits, self.cases) for k, hits in self.hits.items()}

    def recall_since(self, before: Assessment) -> dict[int, Estimate]:
        """By k, by how much that is more than before, of the same tiles."""
        return {
            k: mean_estimate(hits.astype(float) - before.hits[k], self.cases)
            for k, hits in self.hits.items()
        }


def assess(held_out: EmbeddedTiles, logits: Tensor, learnt_from: EmbeddedTiles) -> Assessment:
    """Assess a network on held-out tiles, by their logits and by the tiles learnt from.

    Parameters
    ----------
    held_out, learnt_from
        As the same network embeds them.
    logits
        ``(n, classes)`` of the held-out tiles.
    """
    images, means = held_out.image_means(logits)
    predictions = HeldOutPredictions.from_fold(images, means)
    return Assessment(predictions, recall_hits(held_out, learnt_from), held_out.cases)


def assess_heads(
    heads: EmbeddingHeads, held_out: EmbeddedTiles, learnt_from: EmbeddedTiles
) -> Assessment:
    """Assess heads on held-out tiles.

    Parameters
    ----------
    heads
        On what the tiles hold as embeddings.
    held_out, learnt_from
        As the heads are fed with them.
    """
    queries, gallery = (
        tiles.moved(heads.embed(tiles.embeddings)) for tiles in (held_out, learnt_from)
    )
    return assess(queries, heads.logits(held_out.embeddings), gallery)


def recall_hits(
    queries: EmbeddedTiles, gallery: EmbeddedTiles, ks: Sequence[int] = RECALLS
) -> dict[int, NDArray[np.bool_]]:
    """Return by k which queries have a tile of their class among the k nearest of the gallery.

    Distances are Euclidean, between embeddings of length 1.
    """
    similarity = queries.embeddings @ gallery.embeddings.T
    nearest = similarity.topk(min(max(ks), len(gallery)), dim=1).indices
    right = gallery.labels[nearest] == queries.labels[:, None]
    return {k: right[:, :k].any(dim=1).cpu().numpy() for k in ks}


def accuracy_of(logits: Tensor, labels: Tensor) -> float:
    """Return the fraction of tiles whose predicted class is right."""
    return float((logits.argmax(dim=1) == labels).float().mean())


def separation(tiles: EmbeddedTiles) -> float:
    """Return how much further tiles of different classes lie apart than tiles of the same class.

    The difference of the two mean Euclidean distances, so 0 says that the embedding knows nothing
    of the classes; NaN if there is one class only. Of many tiles, some drawn at random, always
    the same, are compared.
    """
    # Not every so-manyth, which could all be of one class.
    order = torch.randperm(len(tiles), generator=torch.Generator().manual_seed(0))
    sample = order[:_MAX_COMPARED]
    embeddings, labels = tiles.embeddings[sample], tiles.labels[sample]
    distance = torch.cdist(embeddings, embeddings)
    different_class = labels[:, None] != labels[None]
    similarity = ~different_class & ~torch.eye(len(labels), dtype=torch.bool)
    return float(distance[different_class].mean() - distance[similarity].mean())
