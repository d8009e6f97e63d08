"""Miners: which triplets of a batch to learn from."""

from __future__ import annotations

from enum import StrEnum

import torch
from torch import Tensor

Triplets = tuple[Tensor, Tensor, Tensor]


class Mining(StrEnum):
    """How triplets are chosen within a batch.

    ``NONE`` is the paper's way: each anchor once, with a positive and a negative drawn
    at random. ``SEMI_HARD`` takes all triplets whose negative is farther than the
    positive, but by no more than the margin; ``HARD`` those whose negative is nearer.
    """

    NONE = "none"
    SEMI_HARD = "semi-hard"
    HARD = "hard"


def mine_triplets(
    embedding: Tensor,
    labels: Tensor,
    mining: Mining | str = Mining.SEMI_HARD,
    margin: float = 0.2,
    generator: torch.Generator | None = None,
) -> Triplets:
    """Return anchor, positive and negative indices into the batch.

    Parameters
    ----------
    embedding
        ``(n, d)``; no gradient flows through the choice.
    labels
        ``(n,)`` class indices.
    mining
        Which triplets.
    margin
        Of the triplet loss, in squared distance.
    generator
        For the random draw of ``"none"``.

    References
    ----------
    Semi-hard: Schroff et al., FaceNet, CVPR 2015.
    """
    if Mining(mining) is Mining.NONE:
        return random_triplets(labels, generator)
    square = torch.cdist(embedding.detach().float(), embedding.detach().float()).square()
    anchor, positive, negative = all_triplets(labels)
    gap = square[anchor, negative] - square[anchor, positive]
    keep = (gap > 0) & (gap <= margin) if Mining(mining) is Mining.SEMI_HARD else gap <= 0
    return anchor[keep], positive[keep], negative[keep]


def all_triplets(labels: Tensor) -> Triplets:
    """Return every valid triplet of a batch."""
    positive, negative = _masks(labels)
    anchor, near, far = torch.where(positive[:, :, None] & negative[:, None, :])
    return anchor, near, far


def random_triplets(labels: Tensor, generator: torch.Generator | None = None) -> Triplets:
    """Return one triplet an anchor, positive and negative uniform at random.

    Anchors without a positive or a negative in the batch are left out.
    """
    positive, negative = _masks(labels)
    anchor = torch.where(positive.any(dim=1) & negative.any(dim=1))[0]
    if not len(anchor):
        return anchor, anchor, anchor
    near, far = (
        torch.multinomial(mask[anchor].float(), 1, generator=generator)[:, 0]
        for mask in (positive, negative)
    )
    return anchor, near, far


def random_pairs(
    labels: Tensor, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return first, second, same: each anchor once, its partner of the same class or not 50/50."""
    anchor, near, far = random_triplets(labels, generator)
    same = torch.rand(len(anchor), generator=generator, device=labels.device) < 0.5
    return anchor, torch.where(same, near, far), same


def _masks(labels: Tensor) -> tuple[Tensor, Tensor]:
    same = labels[:, None] == labels[None, :]
    return same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device), ~same
