"""Must-link and cannot-link constraints between tiles."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from napari_smse.datasets.labelled_set import LabelledImage
from napari_smse.training.recipe import Trainable

CANNOT_LINK_MARGIN: Final = 1.0
"""Distance that tiles which cannot link are to have at least; embeddings have length 1."""


@dataclass(frozen=True)
class PairConstraints:
    """Constrained pairs of tiles as a model embeds them.

    Attributes
    ----------
    first, second
        ``(n, d)``, each of length 1.
    must_link
        ``(n,)`` bool.
    images
        Which labelled images the tiles of each link are; none where a tile has no label.
    """

    first: Tensor
    second: Tensor
    must_link: Tensor
    images: tuple[tuple[LabelledImage | None, LabelledImage | None], ...] = ()

    def __len__(self) -> int:
        return len(self.must_link)

    def moved(self, embed: Callable[[Tensor], Tensor]) -> PairConstraints:
        """Return the same tiles with other embeddings.

        Parameters
        ----------
        embed
            Gives the new embeddings ``(n, d)`` of the present ones.
        """
        return replace(self, first=embed(self.first), second=embed(self.second))

    def without(self, held_out: Collection[LabelledImage]) -> PairConstraints | None:
        """Return the links that lead to none of these images; None if there are none."""
        ends = self.images or ((None, None),) * len(self)
        rows = [
            row for row, pair in enumerate(ends) if not any(image in held_out for image in pair)
        ]
        if not rows:
            return None
        remaining = tuple(ends[row] for row in rows)
        return PairConstraints(self.first[rows], self.second[rows], self.must_link[rows], remaining)

    def satisfied(self) -> int:
        """Return how many constraints are satisfied.

        Tiles are alike if they lie nearer than half of `CANNOT_LINK_MARGIN`, and differ if they
        lie further apart than that.
        """
        near = torch.linalg.vector_norm(self.first - self.second, dim=1) < CANNOT_LINK_MARGIN / 2
        return int((near == self.must_link).sum())


def training_constraints(
    constraints: PairConstraints | None,
    held_out: Collection[LabelledImage],
    trainable: Trainable,
) -> tuple[PairConstraints | None, list[str]]:
    """Return the constraints to learn from, and what the user must know of the others.

    Parameters
    ----------
    constraints
        As they were given, if any were.
    held_out
        Images that figures are taken of: constraints on them would teach the answers.
    trainable
        What of the network is trained.
    """
    if constraints is None:
        return None, []
    warnings = []
    usable = constraints.without(set(held_out))
    dropped = len(constraints) - (0 if usable is None else len(usable))
    if dropped:
        warnings.append(
            f"{dropped} links lead to tiles that are held out, and were left out so that the "
            "figures stay honest."
        )
    if trainable != "head":
        warnings.append(
            "Links between tiles are heard only where the heads alone learn: they were left out."
        )
    return usable, warnings
