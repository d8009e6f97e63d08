"""Slides of an index made up: clustered embeddings, and tiles side by side."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_smse.similarity.index.shard import IndexedSlide, Shard

MODEL, MODEL_NAME = "a" * 64, "made up"
SETTINGS = {"mpps": [0.5], "overlap": 0.0, "min_tissue": 0.25, "roi": None}


def unit_vectors(
    count: int, dimensions: int = 16, seed: int = 0, centres: int = 5
) -> NDArray[np.float32]:
    """Clustered vectors of length 1."""
    middle = np.random.default_rng(1).normal(size=(centres, dimensions))
    rng = np.random.default_rng(seed)
    points = middle[rng.integers(centres, size=count)] + rng.normal(size=(count, dimensions)) / 2
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def made_shard(
    name: str = "a",
    tiles: int = 40,
    *,
    scales: tuple[tuple[float, int], ...] | None = None,
    path: Path | None = None,
    model: str = MODEL,
    model_name: str = MODEL_NAME,
    dimensions: int = 16,
    **settings: object,
) -> Shard:
    """A slide of 10 tiles a row, 64 px each; the same name makes the same slide."""
    scales = ((0.5, tiles),) if scales is None else scales
    count = sum(number for _, number in scales)
    place = np.arange(count)
    rng = np.random.default_rng(len(name) + ord(name[-1]))
    malignant = rng.uniform(size=count)
    slide = IndexedSlide(
        name=name,
        path=str(path or Path("/nowhere") / f"{name}.tif"),
        quick_hash=hashlib.sha256(name.encode()).hexdigest(),
        width=1000,
        height=1000,
        mpp=0.5,
        mpp_source="metadata",
        model=model,
        model_name=model_name,
        classes=("benign", "malignant"),
        settings=SETTINGS | settings,
        scales=scales,
    )
    return Shard(
        slide,
        np.stack([1 - malignant, malignant], axis=1).astype(np.float32),
        np.stack([64 * (place % 10), 64 * (place // 10), *[np.full(count, 64)] * 2], axis=1).astype(
            np.int32
        ),
        unit_vectors(count, dimensions, seed=ord(name[-1])).astype(np.float16),
    )
