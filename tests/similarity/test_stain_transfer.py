from __future__ import annotations

import numpy as np
import pytest

from napari_smse.similarity.stain_transfer import strong_density, transfer_stain


def tissue(seed=0, number=4):
    """Tiles of pink and purple on a little glass."""
    rng = np.random.default_rng(seed)
    tiles = rng.integers(70, 240, (number, 32, 32, 3))
    tiles[:, :4] = 245
    return tiles.astype(np.uint8)


def paler(tiles, exponents=(0.5, 0.7, 0.8)):
    return (256 * ((tiles + 1) / 256.0) ** np.array(exponents) - 1).round().astype(np.uint8)


def test_a_paler_slide_is_told_by_each_channel():
    strong, pale = strong_density(tissue()), strong_density(paler(tissue()))
    assert pale / strong == pytest.approx([0.5, 0.7, 0.8], abs=0.03)


def test_how_much_glass_there_is_hardly_matters():
    tiles = tissue()
    emptier = tiles.copy()
    emptier[:, :8] = 245
    assert strong_density(emptier) == pytest.approx(strong_density(tiles), rel=0.1)


def test_a_pale_tile_in_a_strong_stain_is_as_it_was():
    tiles = tissue()
    pale = paler(tiles)
    back = transfer_stain(pale[0], strong_density(pale), strong_density(tiles))
    assert back.dtype == np.uint8
    assert np.abs(back.astype(int) - tiles[0]).max() <= 6


def test_a_tile_in_its_own_stain_stays_as_it_is():
    tile = tissue()[0]
    own = strong_density(tissue())
    np.testing.assert_array_equal(transfer_stain(tile, own, own), tile)


def test_glass_stays_glass_and_bare_slides_do_no_harm():
    glass = np.full((1, 8, 8, 3), 255, np.uint8)
    none = strong_density(glass)
    assert (none > 0).all()
    np.testing.assert_array_equal(transfer_stain(glass[0], none, np.full(3, 2.0)), glass[0])
    dark = transfer_stain(tissue()[0], none, np.full(3, 2.0))
    assert dark.min() >= 0
