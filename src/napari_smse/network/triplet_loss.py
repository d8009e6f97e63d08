"""Triplet loss on squared embedding distances."""

from __future__ import annotations

from torch import Tensor, nn


def triplet_loss(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0) -> Tensor:
    r"""Return the mean triplet loss.

    .. math:: \max(0, d_{ap}^2 - d_{an}^2 + m)

    with squared Euclidean distances, and zero for no triplets at all.

    Parameters
    ----------
    anchor, positive, negative
        Embeddings ``(n, d)``; the positive is of the anchor's class.
    margin
        By how much a negative's squared distance has to exceed a positive's.

    References
    ----------
    Schroff, Kalenichenko, Philbin: FaceNet, CVPR 2015; as used by Sun et al.,
    arXiv 2107.01063, with m = 1.
    """
    near = (anchor - positive).square().sum(dim=1)
    far = (anchor - negative).square().sum(dim=1)
    losses = (near - far + margin).clamp(min=0)
    # A miner may find nothing; the mean of nothing would be NaN.
    return losses.mean() if len(losses) else losses.sum()


class TripletLoss(nn.Module):
    """`triplet_loss` as a module.

    Parameters
    ----------
    margin
        By how much a negative's squared distance has to exceed a positive's.
    """

    def __init__(self, margin: float = 1.0) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the mean loss of the triplets."""
        return triplet_loss(anchor, positive, negative, self.margin)
