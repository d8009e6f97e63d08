"""Pairs of tiles of which a person said that they must be alike, or must differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

if TYPE_CHECKING:
    from napari_smse.learning.head_tuning import TunedHeads

FAR: Final = 1.0
"""Distance that tiles which must differ are to have at least; embeddings have length 1."""


@dataclass(frozen=True)
class LinkedTiles:
    """Linked tiles as a model embeds them.

    Attributes
    ----------
    first, second
        ``(n, d)``, each of length 1.
    alike
        ``(n,)`` bool.
    """

    first: Tensor
    second: Tensor
    alike: Tensor

    def __len__(self) -> int:
        return len(self.alike)

    def moved(self, heads: TunedHeads) -> LinkedTiles:
        """Return the same tiles as tuned heads embed them."""
        return LinkedTiles(heads.embed(self.first), heads.embed(self.second), self.alike)

    def held(self) -> int:
        """Return how many links hold.

        Tiles are alike if they lie nearer than half of `FAR`, and differ if they lie further
        apart than that.
        """
        near = torch.linalg.vector_norm(self.first - self.second, dim=1) < FAR / 2
        return int((near == self.alike).sum())
