"""A network whose answer is known: the redder a tile, the more malignant."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from napari_smse.models import Model, ModelCard, NetworkOutput
from napari_smse.models.card import BUNDLED_FOLDER
from napari_smse.similarity.ood import reference


class RednessNetwork(torch.nn.Module):
    """Logit of malignant = (mean red - mean green) / 16; its embedding is the mean colour.

    `batches` says how many tiles each call had.
    """

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def forward(self, images: torch.Tensor) -> NetworkOutput:
        # What fills up a batch is black, and no tile.
        self.batches.append(int(images.flatten(1).any(dim=1).sum()))
        colour = images.float().mean(dim=(2, 3))
        redness = (colour[:, 0] - colour[:, 1]) / 16
        embedding = torch.nn.functional.normalize(colour + 1, dim=1)
        return NetworkOutput(embedding, torch.stack([torch.zeros_like(redness), redness], dim=1))


def redness_model(tile_px: int = 64) -> Model:
    card = ModelCard(
        name="redness",
        version="1",
        classes=("benign", "malignant"),
        tile_px=tile_px,
        mpp_range=(0.2, 0.6),
        trunk="none",
        embedding_dim=3,
        weights_sha256=hashlib.sha256(str(tile_px).encode()).hexdigest(),
    )
    return Model(RednessNetwork(), card, Path("redness.safetensors"))


def hide_bundled_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the bundled model not say what it knows, as another model stands in for it."""
    path_of = reference.ood_reference_path

    def elsewhere(model: str | Path) -> Path:
        path = path_of(model)
        return path.with_name("hidden.json") if path.parent == BUNDLED_FOLDER else path

    monkeypatch.setattr(reference, "ood_reference_path", elsewhere)
