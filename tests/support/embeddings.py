"""Embedded tiles made up: noisy clouds, one a class."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import normalize

from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.training.embeddings import EmbeddedTiles

NAMES = ("benign", "malignant")
DIM = 8


def clouds(
    seed: int, tiles: int = 40, classes: tuple[str, ...] = NAMES, cases: int = 5, axis: int = 0
) -> EmbeddedTiles:
    """Noisy clouds, told apart along one axis that an untuned head does not look at."""
    rng = np.random.default_rng(seed)
    labels = np.arange(tiles) % len(classes)
    points = rng.normal(size=(tiles, DIM))
    points[:, axis] += 2 * labels
    return EmbeddedTiles(
        normalize(torch.from_numpy(points).float(), dim=1),
        torch.from_numpy(labels),
        torch.arange(tiles),
        torch.full((tiles,), 0.5),
        tuple(f"case {i % cases}" for i in range(tiles)),
        ("here",) * tiles,
        classes,
    )


def as_bank(tiles: EmbeddedTiles) -> ExemplarBank:
    """The same tiles as exemplars of a model without a name."""
    return ExemplarBank(
        tiles.embeddings.numpy(),
        tiles.labels.numpy(),
        tiles.mpps.numpy(),
        tiles.classes,
        tiles.cases,
        tiles.sources,
        model="",
    )
