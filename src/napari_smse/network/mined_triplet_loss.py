"""Triplet loss over all mined triplets of a batch, without listing them."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_smse.network.miners import Mining, triplet_masks


def mined_triplet_loss(
    embedding: Tensor, labels: Tensor, mining: Mining | str, margin: float
) -> Tensor:
    r"""Return the mean triplet loss over all semi-hard, or all hard, triplets of a batch.

    The same as `mine_triplets` followed by `triplet_loss`, but a batch of n has up to
    n cubed triplets. Every mined one costs something (its negative exceeds the positive by
    less than the margin), so the mean of their losses is linear in the squared distances

    .. math:: m + \frac{1}{T} \sum_{ij} (P_{ij} - N_{ij})\, d_{ij}^2

    where :math:`P_{ij}` and :math:`N_{ij}` count the T triplets with anchor i in which j is
    the positive and the negative. No triplets at all cost zero.

    Parameters
    ----------
    embedding
        ``(n, d)``.
    labels
        ``(n,)`` class indices.
    mining
        Semi-hard or hard.
    margin
        By how much a negative's squared distance has to exceed a positive's.

    References
    ----------
    Schroff, Kalenichenko, Philbin: FaceNet, CVPR 2015.
    """
    counts = torch.zeros(len(labels), len(labels), device=embedding.device)
    total = torch.zeros((), device=embedding.device)
    for first, mask in triplet_masks(embedding, labels, mining, margin):
        some = slice(first, first + len(mask))
        counts[some] = (mask.sum(dim=2) - mask.sum(dim=1)).to(counts.dtype)
        total += mask.sum()
    norm = embedding.square().sum(dim=1)
    square = norm[:, None] + norm[None, :] - 2 * embedding @ embedding.T
    weights = (counts / total.clamp(min=1)).to(embedding.dtype)
    return (weights * square).sum() + margin * (total > 0)
