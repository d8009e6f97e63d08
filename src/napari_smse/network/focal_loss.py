"""Focal loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


def focal_loss(
    logits: Tensor,
    labels: Tensor,
    gamma: float = 2.0,
    alpha: Tensor | None = None,
    *,
    detach: bool = True,
) -> Tensor:
    r"""Return the mean focal loss.

    .. math:: -\alpha_y (1 - p_y)^\gamma \log p_y

    Parameters
    ----------
    logits
        ``(n, classes)``.
    labels
        ``(n,)`` class indices.
    gamma
        Focus; 0 gives cross-entropy.
    alpha
        Weight of each class ``(classes,)``, by default 1.
    detach
        Let no gradient flow through the modulator :math:`(1 - p_y)^\gamma`, as the
        authors' published logs were made; ``False`` gives Lin et al.'s gradient.

    References
    ----------
    Lin, Goyal, Girshick, He, Dollar: Focal loss for dense object detection, ICCV 2017;
    with the detached modulator as in Sun et al., arXiv 2107.01063.
    """
    log_p = functional.log_softmax(logits, dim=1).gather(1, labels[:, None])[:, 0]
    # -expm1 keeps 1 - p exact where p is close to 1; the clamp keeps the gradient of a
    # power below 1 finite there.
    modulator = (-torch.expm1(log_p)).clamp(min=1e-12).pow(gamma)
    losses = -(modulator.detach() if detach else modulator) * log_p
    return (losses if alpha is None else alpha[labels] * losses).mean()


class FocalLoss(nn.Module):
    """`focal_loss` as a module.

    Parameters
    ----------
    gamma
        Focus; 0 gives cross-entropy.
    alpha
        Weight of each class, by default 1.
    detach
        Let no gradient flow through the modulator.
    """

    alpha: Tensor | None

    def __init__(
        self, gamma: float = 2.0, alpha: Sequence[float] | None = None, *, detach: bool = True
    ) -> None:
        super().__init__()
        self.gamma = gamma
        self.detach = detach
        self.register_buffer("alpha", None if alpha is None else torch.tensor(alpha))

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of the batch."""
        return focal_loss(logits, labels, self.gamma, self.alpha, detach=self.detach)
