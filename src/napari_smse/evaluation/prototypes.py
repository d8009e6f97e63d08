"""One prototype a class, and how far tiles lie from the nearest."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.models.smse_network import SmseNetwork
from napari_smse.training.feature_cache import FeatureCache


def class_prototypes(
    network: SmseNetwork,
    table: FeatureCache,
    labelled_set: LabelledSet,
    training: Sequence[int] | None = None,
) -> Tensor:
    """Return each class's mean embedding, of length 1, ``(classes, d)``.

    Cases count alike within their class, whatever their number of tiles.

    Parameters
    ----------
    network
        Network whose embedding to use.
    table
        Features of the images.
    labelled_set, training
        The images, and which of them to average; all by default.
    """
    by_case: dict[tuple[int, str], list[Tensor]] = {}
    for i in range(len(labelled_set.images)) if training is None else training:
        image = labelled_set.images[i]
        by_case.setdefault((image.label, image.case), []).append(table.judged(image).values)
    sums = torch.zeros(len(labelled_set.classes), network.embedding_head.out_features)
    for (label, _), features in by_case.items():
        sums[label] += _embedded(network, torch.cat(features)).mean(dim=0)
    return functional.normalize(sums, dim=1)


def prototype_distances(
    network: SmseNetwork,
    table: FeatureCache,
    labelled_set: LabelledSet,
    indices: Sequence[int],
    prototypes: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return the tiles' distance to the nearest prototype, ``(n,)``, and their um/px.

    The distance is the Euclidean one between embeddings of length 1: 0 to 2.
    """
    tiles = [table.judged(labelled_set.images[i]) for i in indices]
    embedded = _embedded(network, torch.cat([part.values for part in tiles]))
    scales = torch.cat([part.mpps for part in tiles])
    return torch.cdist(embedded, prototypes).amin(dim=1), scales


def _embedded(network: SmseNetwork, features: Tensor) -> Tensor:
    with torch.inference_mode():
        return network.head(features.float()).embedding
