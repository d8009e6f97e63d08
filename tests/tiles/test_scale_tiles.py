"""Tiles that lie where another program put them."""

from __future__ import annotations

import numpy as np

from napari_smse.slides import Region
from napari_smse.tiles import PlacedTiles, TileGrid, TileSpec

GRID = TileGrid(TileSpec(100, 0.5, 0.25), Region(40, 0, 1000, 800))


def test_placed_tiles_keep_their_places_and_have_the_nearest_cells() -> None:
    corners = np.array([(40, 0), (250, 190), (980, 790)], dtype=np.int32)
    tiles = PlacedTiles.near(GRID, corners)
    assert tiles.x.tolist() == [40, 250, 980]
    assert tiles.y.tolist() == [0, 190, 790]
    assert set(tiles.width) == set(tiles.height) == {200}
    assert list(zip(tiles.columns, tiles.rows, strict=True)) == [(0, 0), (1, 1), (4, 3)]
    assert tiles.region(1) == Region(250, 190, 200, 200)
    assert tiles.take(np.array([2, 0])).x.tolist() == [980, 40]
    assert len(PlacedTiles.near(GRID, corners[:0])) == 0
