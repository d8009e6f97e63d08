import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.scoring import HeatMap, HeatMapBuilder, fuse
from napari_smse.slides import Region
from napari_smse.tiles import TileGrid, TileSpec


def grid_of(overlap=0.0):
    return TileGrid(TileSpec(100, 0.5, 0.5, overlap), Region(0, 0, 1000, 700))


def all_tiles(grid):
    rows, columns = np.mgrid[0 : grid.rows, 0 : grid.columns]
    return columns.ravel(), rows.ravel()


def test_without_overlap_a_cell_is_its_tile():
    grid = grid_of()
    builder = HeatMapBuilder(grid)
    builder.add(np.array([3, 0]), np.array([2, 0]), np.array([0.75, 0.25]))
    heat_map = builder.heat_map()
    assert heat_map.values.shape == (7, 10)
    assert heat_map.values[2, 3] == 0.75
    assert heat_map.values[0, 0] == 0.25
    assert np.isnan(heat_map.values).sum() == 68
    assert (heat_map.x, heat_map.y, heat_map.cell) == (0, 0, 100)


@given(overlap=st.sampled_from([0, 0.25, 0.5, 0.6, 0.75]), seed=st.integers(0, 50))
def test_overlapping_tiles_are_averaged_by_the_area_they_cover(overlap, seed):
    grid = grid_of(overlap)
    columns, rows = all_tiles(grid)
    values = np.random.default_rng(seed).random(len(columns))
    builder = HeatMapBuilder(grid)
    order = np.random.default_rng(seed).permutation(len(columns))
    for part in np.array_split(order, 7):
        builder.add(columns[part], rows[part], values[part])
    heat_map = builder.heat_map()
    cell = grid.spec.stride_level0
    for row, column in [(0, 0), (grid.rows // 2, grid.columns // 2), (grid.rows - 1, 1)]:
        left, top = column * cell, row * cell
        width = np.clip(
            np.minimum(columns * cell + 100, left + cell) - np.maximum(columns * cell, left),
            0,
            None,
        )
        height = np.clip(
            np.minimum(rows * cell + 100, top + cell) - np.maximum(rows * cell, top), 0, None
        )
        expected = np.average(values, weights=width * height)
        assert heat_map.values[row, column] == pytest.approx(expected, abs=1e-5)


def test_the_order_of_tiles_does_not_matter_and_nan_is_not_scored():
    grid = grid_of()
    columns, rows = all_tiles(grid)
    values = np.linspace(0, 1, len(columns))
    values[5] = np.nan
    builder = HeatMapBuilder(grid)
    builder.add(columns, rows, values)
    assert np.isnan(builder.heat_map().values.ravel()[5])
    np.testing.assert_allclose(
        np.delete(builder.heat_map().values.ravel(), 5), np.delete(values, 5), rtol=1e-6
    )


def test_fusion_has_the_finest_cells_and_the_mean_of_what_is_known():
    fine = HeatMap(np.array([[0.2, 0.4], [np.nan, np.nan]], np.float32), 10, 20, 50)
    coarse = HeatMap(np.array([[0.8]], np.float32), 10, 20, 100)
    fused = fuse([coarse, fine])
    np.testing.assert_allclose(fused.values, [[0.5, 0.6], [0.8, 0.8]])
    assert (fused.x, fused.y, fused.cell) == (10, 20, 50)


def test_fusing_one_map_changes_nothing():
    alone = HeatMap(np.array([[0.2, np.nan]], np.float32), 0, 0, 50)
    np.testing.assert_array_equal(fuse([alone]).values, alone.values)


def test_values_at_points():
    heat_map = HeatMap(np.array([[0.1, 0.2]], np.float32), 100, 0, 10)
    found = heat_map.at(np.array([100.0, 119.9, 120.0, 99.0]), np.array([0.0, 9.9, 5.0, 5.0]))
    np.testing.assert_allclose(found, [0.1, 0.2, np.nan, np.nan])


def test_fusing_asks_the_other_maps_at_the_middle_of_each_cell():
    fine = HeatMap(np.zeros((3, 3), np.float32), x=10, y=20, cell=2.0)
    coarse = HeatMap(np.array([[0, 1], [2, 3]], np.float32), x=10, y=20, cell=2.9)
    # Cell 1 reaches from 2 to 4, so that its corner lies in the first coarse cell and its
    # middle, at 3, in the second.
    np.testing.assert_allclose(fuse([fine, coarse]).values * 2, [[0, 1, 1], [2, 3, 3], [2, 3, 3]])
