"""Focal loss, and the reinforced focal loss."""

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


def reinforced_focal_loss(
    logits: Tensor, labels: Tensor, beta: Tensor, alpha: float = 2.0, gamma: float = 1.5
) -> Tensor:
    r"""Return the mean reinforced focal loss of a two-class batch.

    .. math:: \beta_y \, \alpha \, (1 - p_y)^\gamma

    There is no logarithm: the loss lies above the focal loss (:math:`\gamma = 2`) for
    :math:`p_y > 0.2`, so misclassified samples are punished harder, and below
    cross-entropy from :math:`p_y = 0.6`, so easy ones are suppressed. It is bounded:
    a sample with :math:`p_y` near 0 costs at most :math:`\beta_y \alpha`.

    Parameters
    ----------
    logits
        ``(n, classes)``.
    labels
        ``(n,)`` class indices.
    beta
        Weight of each class ``(classes,)``: ``[1 - r, r]`` with r the fraction of the first
        class (benign) in the training set.
    alpha, gamma
        Height and focus.

    Notes
    -----
    The paper's abstract names a reinforced focal loss without a formula. That this one,
    the only novel loss in the authors' published code, is *the* reinforced focal loss is
    likely, not confirmed.

    References
    ----------
    Sun et al., arXiv 2107.01063 (abstract) and the facts of its published code.
    """
    log_p = functional.log_softmax(logits, dim=1).gather(1, labels[:, None])[:, 0]
    missing = (-torch.expm1(log_p)).clamp(min=1e-12)
    return (beta[labels] * alpha * missing.pow(gamma)).mean()


class ReinforcedFocalLoss(nn.Module):
    """`reinforced_focal_loss` as a module; likely, not confirmed, to be the paper's.

    Parameters
    ----------
    first_fraction
        Fraction r of the first class (benign) in the training set; the classes weigh
        ``[1 - r, r]``.
    alpha, gamma
        Height and focus.

    Raises
    ------
    ValueError
        `first_fraction` is not inside 0..1.
    """

    beta: Tensor

    def __init__(self, first_fraction: float, alpha: float = 2.0, gamma: float = 1.5) -> None:
        super().__init__()
        if not 0 < first_fraction < 1:
            raise ValueError(f"first_fraction must lie inside 0..1, not {first_fraction}.")
        self.alpha = alpha
        self.gamma = gamma
        self.register_buffer("beta", torch.tensor([1 - first_fraction, first_fraction]))

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of the batch."""
        return reinforced_focal_loss(logits, labels, self.beta, self.alpha, self.gamma)
