"""Tiles that are left out for an artefact."""

import numpy as np

from napari_smse.slides import Region
from napari_smse.tiles import Ground, TileGrid, TileSpec, TissueMask
from napari_smse.tiles.tile_choice import artefact_tiles, choose_tiles

AREA = Region(0, 0, 400, 100)
GRID = TileGrid(TileSpec(100, 1.0, 1.0), AREA)


def _mask(*columns, left_out=frozenset({Ground.FOLD, Ground.BLUR})):
    """Four tiles of ten columns each, as told by the kinds of ground of their columns."""
    row = np.concatenate([np.array(kinds, np.uint8) for kinds in columns])
    return TissueMask(np.tile(row, (10, 1)), AREA, left_out=left_out)


def _tile(**counts):
    kinds = [kind for name, n in counts.items() for kind in [Ground[name.upper()]] * n]
    return kinds + [Ground.GLASS] * (10 - len(kinds))


CASES = (
    _tile(tissue=10),
    _tile(tissue=4, fold=6),
    _tile(tissue=5, fold=3, blur=2),
    _tile(tissue=1, fold=1, blur=2),
)


def test_a_tile_that_shows_more_artefact_than_tissue_is_left_out():
    chosen = choose_tiles(GRID, _mask(*CASES))
    assert chosen.columns.tolist() == [0, 2]
    np.testing.assert_allclose(chosen.tissue, [1.0, 0.5])


def test_artefacts_that_are_not_left_out_are_tissue():
    chosen = choose_tiles(GRID, _mask(*CASES, left_out=frozenset()))
    assert chosen.columns.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(chosen.tissue, [1.0, 1.0, 1.0, 0.4], atol=1e-6)
    only_blur = choose_tiles(GRID, _mask(*CASES, left_out=frozenset({Ground.BLUR})))
    assert only_blur.columns.tolist() == [0, 1, 2]


def test_left_out_tiles_are_counted_by_what_covers_most_of_each():
    assert artefact_tiles(GRID, _mask(*CASES)) == {Ground.FOLD: 1, Ground.BLUR: 1}
    assert artefact_tiles(GRID, _mask(*CASES, left_out=frozenset())) == {}
    assert artefact_tiles(GRID, _mask(*[_tile(tissue=10)] * 4)) == {}


def test_tissue_by_colour_is_chosen_as_ever():
    """A mask that tells no artefacts apart leaves no tile out for the pen beside its tissue."""
    mask = _mask(*[_tile(tissue=3, pen=7)] * 4, left_out=None)
    assert len(choose_tiles(GRID, mask)) == 4
    assert artefact_tiles(GRID, mask) == {}
