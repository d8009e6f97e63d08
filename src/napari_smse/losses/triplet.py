"""Triplet loss on squared embedding distances, of given triplets or of all that are mined."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_smse.losses.miners import Mining, triplet_masks


def triplet_loss(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0) -> Tensor:
    r"""Return the mean triplet loss.

    .. math:: \max(0, d_{ap}^2 - d_{an}^2 + m)

    with squared Euclidean distances, and zero for no triplets at all.

    Parameters
    ----------
    anchor, positive, negative
        Embeddings ``(n, d)``; the positive is of the anchor's class.
    margin
        Amount by which a negative's squared distance has to exceed a positive's.

    References
    ----------
    Schroff, Kalenichenko, Philbin: FaceNet, CVPR 2015; as used by Sun et al.,
    arXiv 2107.01063, with m = 1.
    """
    positive_distance = (anchor - positive).square().sum(dim=1)
    negative_distance = (anchor - negative).square().sum(dim=1)
    losses = (positive_distance - negative_distance + margin).clamp(min=0)
    # A miner may find no triplet; the mean of nothing would be NaN.
    return losses.mean() if len(losses) else losses.sum()


class TripletLoss(nn.Module):
    """`triplet_loss` as a module.

    Parameters
    ----------
    margin
        Amount by which a negative's squared distance has to exceed a positive's.
    """

    def __init__(self, margin: float = 1.0) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the mean loss of the triplets."""
        return triplet_loss(anchor, positive, negative, self.margin)


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
        Amount by which a negative's squared distance has to exceed a positive's.

    References
    ----------
    Schroff, Kalenichenko, Philbin: FaceNet, CVPR 2015.
    """
    counts = torch.zeros(len(labels), len(labels), device=embedding.device)
    total = torch.zeros((), device=embedding.device)
    for first, mask in triplet_masks(embedding, labels, mining, margin):
        rows = slice(first, first + len(mask))
        counts[rows] = (mask.sum(dim=2) - mask.sum(dim=1)).to(counts.dtype)
        total += mask.sum()
    norm = embedding.square().sum(dim=1)
    square = norm[:, None] + norm[None, :] - 2 * embedding @ embedding.T
    weights = (counts / total.clamp(min=1)).to(embedding.dtype)
    return (weights * square).sum() + margin * (total > 0)
