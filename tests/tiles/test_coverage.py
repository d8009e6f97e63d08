"""What tiles cover together, against counting every pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_smse.slides import Region
from napari_smse.tiles import ScaleTiles, TileGrid, TileSpec
from napari_smse.tiles.coverage import TileCoverage

EXTENT = 40
boxes_anywhere = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(1, 10), st.integers(1, 10)),
    min_size=1,
    max_size=12,
).map(np.array)


def pixels_of(boxes: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Which pixels each box covers, (n, EXTENT, EXTENT)."""
    shown = np.zeros((len(boxes), EXTENT, EXTENT), dtype=bool)
    for one, (x, y, width, height) in zip(shown, boxes, strict=True):
        one[y : y + height, x : x + width] = True
    return shown


@given(boxes_anywhere)
def test_what_is_covered_is_that_of_the_pixels(boxes: NDArray[np.integer]) -> None:
    coverage = TileCoverage.of_boxes(boxes)
    shown = pixels_of(boxes)
    assert coverage.area() == shown.any(axis=0).sum()
    cells = np.diff(coverage.y)[:, None] * np.diff(coverage.x)
    assert (coverage.counts() * cells).sum() == shown.sum()


@given(boxes_anywhere, st.integers(0, 20), st.integers(1, 30))
def test_pixels_are_divided_among_the_boxes_on_them(
    boxes: NDArray[np.integer], first: int, edge: int
) -> None:
    within = Region(first, first, edge, edge)
    shown = pixels_of(boxes)
    each = 1 / np.maximum(shown.sum(axis=0), 1)
    part = np.s_[:, first : first + edge, first : first + edge]
    want = (shown * each)[part].sum(axis=(1, 2))
    assert TileCoverage.of_boxes(boxes).shares(within) == pytest.approx(want)


@given(
    width=st.integers(30, 900),
    height=st.integers(30, 900),
    overlap=st.sampled_from([0.0, 0.3, 0.5, 0.75]),
    pixel=st.sampled_from([1, 4]),
    inside=st.booleans(),
)
def test_all_tiles_of_an_area_stand_for_all_of_it(
    width: int, height: int, overlap: float, pixel: int, inside: bool
) -> None:
    """An area smaller than a tile, one that no tiles fit into, and old grids that reach over it."""
    area = Region(7, 11, width, height)
    grid = TileGrid(TileSpec(64, 0.37, 0.25, overlap), area, pixel, inside)
    rows, columns = np.divmod(np.arange(grid.rows * grid.columns, dtype=np.int32), grid.columns)
    tiles = ScaleTiles(grid, columns, rows, np.ones(len(rows), np.float32))
    shares = TileCoverage.of_tiles(tiles).shares(area)
    assert (shares > 0).all()
    # Edges lie on whole pixels of the level: what is left of the last one belongs to none.
    lost = area.width * area.height - shares.sum()
    assert -1e-6 <= lost <= pixel * (area.width + area.height) * (1 + pixel)


def test_the_last_row_shares_what_the_row_above_covers_too() -> None:
    area = Region(0, 0, 64, 150)
    grid = TileGrid(TileSpec(64, 0.25, 0.25), area)
    assert grid.rows == 3
    rows = np.arange(3, dtype=np.int32)
    tiles = ScaleTiles(grid, np.zeros(3, np.int32), rows, np.ones(3, np.float32))
    assert tiles.y.tolist() == [0, 64, 86]
    shares = TileCoverage.of_tiles(tiles).shares(area) / 64
    assert shares.tolist() == [64, 22 + 21, 22 + 21]
