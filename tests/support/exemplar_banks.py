"""Exemplar banks and scored tiles made up for the tests."""

from __future__ import annotations

import numpy as np

from napari_smse.scoring.tile_table import TileTable
from napari_smse.similarity.exemplar_bank import THUMBNAIL_PX, ExemplarBank
from napari_smse.slides import Region
from napari_smse.tiles import ScaleTiles, TileGrid, TileSpec
from napari_smse.tiles.appearance import MEASURES

CLASSES = ("benign", "malignant")
AREA = Region(0, 0, 640, 640)
MODEL = "a" * 64
COLUMNS = ("labels", "mpps", "places", "appearances")
FACTS = ("classes", "cases", "sources", "model", "slides", "licence", "drawn")


def unit(points):
    """Rows scaled to length 1, float32."""
    points = np.asarray(points, dtype=np.float64)
    length = np.linalg.norm(points, axis=1, keepdims=True)
    return (points / np.maximum(length, 1e-12)).astype(np.float32)


def made_bank(
    number,
    seed=0,
    *,
    dim=8,
    cases=4,
    classes=CLASSES,
    spread=0.6,
    pictures=False,
    appearances=False,
):
    """Noisy clouds, one a class, around axes; every second exemplar lies on a slide.

    With appearances, it is known of every second what it looks like.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(classes), number)
    points = rng.normal(scale=spread, size=(number, dim))
    points[np.arange(number), labels] += 1
    where = rng.integers(0, 1000, (number, 4)).astype(np.int32)
    shape = (number, THUMBNAIL_PX, THUMBNAIL_PX, 3)
    seen = np.full((number, len(MEASURES)), np.nan, np.float32)
    if appearances:
        seen[::2] = rng.normal(size=seen[::2].shape)
    return ExemplarBank(
        unit(points),
        labels.astype(np.int64),
        rng.choice([0.25, 0.5, 1.0], number).astype(np.float32),
        classes,
        tuple(f"case {i % cases}" for i in range(number)),
        tuple(f"source {i % 2}" for i in range(number)),
        MODEL,
        tuple("" if i % 2 else f"slide {i % 3}" for i in range(number)),
        where,
        rng.integers(0, 256, shape, dtype=np.uint8) if pictures else None,
        "CC BY 4.0" if pictures else "",
        seen,
        tuple(f"area {i % 3}" if appearances else "" for i in range(number)),
    )


def made_scale(mpp, columns, rows, *, overlap=0.0, area=AREA):
    """Tiles of 64 px at a scale, on a slide of 0.5 um/px, at these places of the grid."""
    columns, rows = np.asarray(columns, np.int32), np.asarray(rows, np.int32)
    grid = TileGrid(TileSpec(64, mpp, 0.5, overlap), area)
    return ScaleTiles(grid, columns, rows, np.ones(len(columns), np.float32))


def made_tiles(scales, probability, embeddings=None):
    """Scored tiles of these scales."""
    probability = np.asarray(probability, np.float32)
    if embeddings is None:
        embeddings = unit(np.random.default_rng(1).normal(size=(len(probability), 8)))
    return TileTable(tuple(scales), embeddings, probability, CLASSES)


def same_banks(one, other):
    """Whether two banks hold the same; embeddings to what float16 keeps of them."""
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name in FACTS:
        assert getattr(one, name) == getattr(other, name)
    assert (one.thumbnails is None) == (other.thumbnails is None)
    if one.thumbnails is not None:
        np.testing.assert_array_equal(one.thumbnails, other.thumbnails)
    np.testing.assert_allclose(one.embeddings, other.embeddings, atol=1e-3)
    return True
