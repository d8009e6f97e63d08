"""The triplets that an embedding gets most wrong: what to look at, and correct, first."""

from __future__ import annotations

from collections import Counter
from typing import Final, NamedTuple

import torch

from napari_smse.training.embeddings import EmbeddedTiles

_MAX_COMPARED: Final = 2000
_MAX_USES: Final = 2


class Triplet(NamedTuple):
    """Three tiles by their images' indices in the labelled set.

    Attributes
    ----------
    anchor, positive, negative
        The positive is the tile of the anchor's class that lies furthest from it, the negative the
        nearest of another class.
    violation
        How much nearer the negative is than the positive, in Euclidean distance; negative where
        all is well.
    """

    anchor: int
    positive: int
    negative: int
    violation: float


def hard_triplets(tiles: EmbeddedTiles, max_triplets: int = 12) -> list[Triplet]:
    """Return the triplets with the largest violation, hardest first.

    A tile is at most twice the same part of a triplet, so that one bad tile does not fill the list.
    Of very many tiles, some drawn at random, always the same, are compared.

    Parameters
    ----------
    tiles
        As the network embeds them after it learnt.
    max_triplets
        How many to return.
    """
    order = torch.randperm(len(tiles), generator=torch.Generator().manual_seed(0))
    sample = order[:_MAX_COMPARED].sort().values
    embeddings, labels = tiles.embeddings[sample], tiles.labels[sample]
    apart = torch.cdist(embeddings, embeddings)
    same_class = labels[:, None] == labels[None]
    others = same_class & ~torch.eye(len(sample), dtype=torch.bool)
    far, positives = apart.masked_fill(~others, -torch.inf).max(dim=1)
    near, negatives = apart.masked_fill(same_class, torch.inf).min(dim=1)
    violation = far - near
    images = tiles.images[sample]
    used: list[Counter[int]] = [Counter(), Counter()]
    triplets: list[Triplet] = []
    for row in violation.argsort(descending=True).tolist():
        if len(triplets) == max_triplets or not torch.isfinite(violation[row]):
            break
        parts = int(positives[row]), int(negatives[row])
        if any(count[part] >= _MAX_USES for count, part in zip(used, parts, strict=True)):
            continue
        for count, part in zip(used, parts, strict=True):
            count[part] += 1
        anchor, positive, negative = (int(images[tile]) for tile in (row, *parts))
        triplets.append(Triplet(anchor, positive, negative, float(violation[row])))
    return triplets
