"""The best heads so far of a fine-tuning, to keep when it is stopped half-way."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from napari_smse.finetuning.embedding_heads import EmbeddingHeads
from napari_smse.finetuning.pair_constraints import CANNOT_LINK_MARGIN, PairConstraints
from napari_smse.losses.contrastive import contrastive_loss
from napari_smse.training.embeddings import EmbeddedTiles


class BestHeads:
    """Remembers the heads that call the tiles learnt from best.

    Never those held out: what chooses a model cannot judge it as well.

    Parameters
    ----------
    heads
        Those that learn.
    tiles
        That they learn from.
    constraints
        Between tiles that they learn from.
    """

    def __init__(
        self,
        heads: EmbeddingHeads,
        tiles: EmbeddedTiles,
        constraints: PairConstraints | None = None,
    ) -> None:
        self._heads, self._tiles, self._constraints = heads, tiles, constraints
        self._loss = math.inf
        self._state: dict[str, Tensor] = {}

    def update(self) -> None:
        """Look at the heads as they are now."""
        loss = self._class_mean_loss() + self._pair_loss()
        if loss < self._loss:
            self._loss = loss
            self._state = {
                name: tensor.clone() for name, tensor in self._heads.state_dict().items()
            }

    def restore(self) -> None:
        """Make the heads the best ones seen."""
        if self._state:
            self._heads.load_state_dict(self._state)

    def _pair_loss(self) -> float:
        if self._constraints is None:
            return 0.0
        moved = self._constraints.moved(self._heads.reembed)
        return float(
            contrastive_loss(moved.first, moved.second, moved.must_link, CANNOT_LINK_MARGIN)
        )

    def _class_mean_loss(self) -> float:
        """Return the cross-entropy, every class weighing the same however many tiles it has."""
        labels = self._tiles.labels
        losses = functional.cross_entropy(
            self._heads.logits(self._tiles.embeddings), labels, reduction="none"
        )
        present = sorted(set(labels.tolist()))
        return float(torch.stack([losses[labels == k].mean() for k in present]).mean())
