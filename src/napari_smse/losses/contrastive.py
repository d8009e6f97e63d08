"""Pair loss on embedding distances."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def contrastive_loss(first: Tensor, second: Tensor, same: Tensor, margin: float = 1.0) -> Tensor:
    r"""Return the mean contrastive loss of pairs of embeddings.

    .. math:: \tfrac12 \left[ y d^2 + (1 - y) \max(0, m - d)^2 \right]

    with the Euclidean distance :math:`d` and :math:`y = 1` for the same class, and zero
    for no pairs at all.

    Parameters
    ----------
    first, second
        Embeddings ``(n, d)``.
    same
        ``(n,)``, true where a pair is of one class.
    margin
        Distance from which a pair of different classes costs nothing.

    References
    ----------
    Hadsell, Chopra, LeCun: Dimensionality reduction by learning an invariant mapping,
    CVPR 2006; as used by Sun et al., arXiv 2107.01063.
    """
    square = (first - second).square().sum(dim=1)
    # vector_norm has a gradient of zero, not NaN, where two embeddings coincide.
    distance = torch.linalg.vector_norm(first - second, dim=1)
    apart = (margin - distance).clamp(min=0).square()
    losses = 0.5 * torch.where(same.bool(), square, apart)
    # A batch of one class has no pairs; the mean of nothing would be NaN.
    return losses.mean() if len(losses) else losses.sum()


class ContrastiveLoss(nn.Module):
    """`contrastive_loss` as a module.

    Parameters
    ----------
    margin
        Distance from which a pair of different classes costs nothing.
    """

    def __init__(self, margin: float = 1.0) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, first: Tensor, second: Tensor, same: Tensor) -> Tensor:
        """Return the mean loss of the pairs."""
        return contrastive_loss(first, second, same, self.margin)
