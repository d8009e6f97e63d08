"""The generated tiles."""

from __future__ import annotations

import hashlib

import numpy as np

from napari_smse.models.generated_tiles import generated_tile
from napari_smse.models.self_test import CANDIDATES


def test_tiles_are_the_same_everywhere() -> None:
    # Bundled cards promise outputs for exactly these pixels.
    pixels = b"".join(generated_tile(number, 64, 64).tobytes() for number in range(CANDIDATES))
    assert (
        hashlib.sha256(pixels).hexdigest()
        == "38dc554cb2d594419439b9d7f9fa4ce87f402f99a1871f0fa951b9437d1056b3"
    )


def test_tiles_are_stained_tissue_on_pink() -> None:
    for number in range(CANDIDATES):
        tile = generated_tile(number).reshape(-1, 3).astype(int)
        assert (tile[:, 0] > tile[:, 1]).mean() > 0.9
        assert (tile[:, 2] > tile[:, 1]).mean() > 0.9


def test_tiles_differ() -> None:
    tiles = [generated_tile(number, 64, 64) for number in range(CANDIDATES)]
    assert len({tile.tobytes() for tile in tiles}) == CANDIDATES
    shares = [float((tile[..., 0] < 160).mean()) for tile in tiles]
    assert min(shares) < 0.1
    assert max(shares) > 0.9


def test_a_tile_has_the_asked_size() -> None:
    tile = generated_tile(5, 46, 70)
    assert tile.shape == (46, 70, 3)
    assert tile.dtype == np.uint8
