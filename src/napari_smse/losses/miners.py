"""Miners: which triplets of a batch to learn from."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

import torch
from torch import Tensor

Triplets = tuple[Tensor, Tensor, Tensor]
# Triplets compared in one go: 16 MB of distances' differences.
_MAX_AT_ONCE: Final = 4_000_000


class Mining(StrEnum):
    """The choice of triplets within a batch.

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
        Choice of triplets.
    margin
        Margin of the triplet loss, in squared distance.
    generator
        Generator for the random draw of ``"none"``.

    References
    ----------
    Semi-hard: Schroff et al., FaceNet, CVPR 2015.
    """
    if Mining(mining) is Mining.NONE:
        return random_triplets(labels, generator)
    parts = [
        torch.stack(torch.where(mask)) + torch.tensor([[first], [0], [0]], device=labels.device)
        for first, mask in triplet_masks(embedding, labels, mining, margin)
    ]
    anchor, positive, negative = torch.cat(parts, dim=1) if parts else labels.new_empty(3, 0)
    return anchor, positive, negative


def triplet_masks(
    embedding: Tensor, labels: Tensor, mining: Mining | str, margin: float
) -> Iterator[tuple[int, Tensor]]:
    """Yield which triplets are mined, few anchors at a time, so that memory stays bounded.

    Parameters
    ----------
    embedding, labels, margin
        As for `mine_triplets`.
    mining
        Semi-hard or hard.

    Yields
    ------
    tuple of int and Tensor
        The first anchor's index, and for it and those that follow ``(anchors, n, n)``,
        true at ``[anchor - first, positive, negative]`` of a mined triplet.
    """
    semi_hard = Mining(mining) is Mining.SEMI_HARD
    square = torch.cdist(embedding.detach().float(), embedding.detach().float()).square()
    positive, negative = _masks(labels)
    number = len(labels)
    anchors = max(1, _MAX_AT_ONCE // max(1, number * number))
    for first in range(0, number, anchors):
        rows = slice(first, first + anchors)
        gap = square[rows, None, :] - square[rows, :, None]
        mined = (gap > 0) & (gap <= margin) if semi_hard else gap <= 0
        yield first, mined & positive[rows, :, None] & negative[rows, None, :]


def valid_triplets(labels: Tensor) -> Triplets:
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
    anchor, positive, negative = random_triplets(labels, generator)
    same = torch.rand(len(anchor), generator=generator, device=labels.device) < 0.5
    return anchor, torch.where(same, positive, negative), same


def mine_pairs(
    embedding: Tensor,
    labels: Tensor,
    mining: Mining | str = Mining.SEMI_HARD,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return first, second, same: pairs of a batch, as many of one class as of two.

    ``"none"`` draws them as `random_pairs` does. ``"hard"`` gives each anchor its farthest
    positive and its nearest negative. ``"semi-hard"`` gives it a random positive, and the nearest
    negative of those farther than that; anchors without one are left out.

    Parameters
    ----------
    embedding
        ``(n, d)``; no gradient flows through the choice.
    labels
        ``(n,)`` class indices.
    mining
        Choice of pairs.
    generator
        Generator for the random draws.

    References
    ----------
    Hard: the "batch hard" of Hermans, Beyer, Leibe, arXiv 1703.07737, for pairs. Semi-hard:
    the negative of Schroff et al., FaceNet, CVPR 2015.
    """
    if Mining(mining) is Mining.NONE:
        return random_pairs(labels, generator)
    anchor, near, _ = random_triplets(labels, generator)
    distance = torch.cdist(embedding.detach().float(), embedding.detach().float())[anchor]
    positive, negative = (mask[anchor] for mask in _masks(labels))
    if Mining(mining) is Mining.HARD:
        if len(anchor):
            near = distance.masked_fill(~positive, -1).argmax(dim=1)
    else:
        negative = negative & (distance > distance.gather(1, near[:, None]))
        usable = negative.any(dim=1)
        anchor, near, distance, negative = (
            anchor[usable],
            near[usable],
            distance[usable],
            negative[usable],
        )
    far = near
    if len(anchor):
        far = distance.masked_fill(~negative, torch.inf).argmin(dim=1)
    same = torch.arange(2 * len(anchor), device=labels.device) < len(anchor)
    return torch.cat([anchor, anchor]), torch.cat([near, far]), same


def _masks(labels: Tensor) -> tuple[Tensor, Tensor]:
    same = labels[:, None] == labels[None, :]
    return same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device), ~same
