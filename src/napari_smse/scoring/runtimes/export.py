"""A network in the form in which other runtimes are given it: tiles in, answers out."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional


class ExportableNetwork(nn.Module):
    """From tiles as they are read, uint8 (n, h, w, 3), to probabilities and embeddings.

    Parameters
    ----------
    network
        A folded network.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.eval()

    def forward(self, tiles: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities (n, classes) and embeddings (n, d)."""
        output = self.network(tiles.permute(0, 3, 1, 2))
        return functional.softmax(output.logits, dim=1), cast("Tensor", output.embedding)

    @staticmethod
    def example(tile_px: int, batch_size: int) -> Tensor:
        """Tiles to trace the network with; what they show does not matter."""
        return torch.zeros((batch_size, tile_px, tile_px, 3), dtype=torch.uint8)
