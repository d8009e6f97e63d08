"""Tiles of pictures that are smaller than they are."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.tiles.mirror import mirrored

side = st.integers(1, 40)


@given(side, side, st.floats(0, 1), st.floats(0, 1))
def test_a_part_keeps_its_place_and_the_rest_mirrors_it(
    height: int, width: int, down: float, across: float
) -> None:
    part = np.arange(height * width * 3, dtype=np.uint32).reshape(height, width, 3).astype(np.uint8)
    above, left = round(down * (40 - height)), round(across * (40 - width))
    tile = mirrored(part, (above, left), 40)
    assert tile.shape == (40, 40, 3)
    assert (tile[above : above + height, left : left + width] == part).all()
    if min(height, width) > 1 and above:
        assert (tile[above - 1] == tile[above + 1]).all()
    assert np.isin(tile, part).all()
