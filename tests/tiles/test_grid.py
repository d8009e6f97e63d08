import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.slides import Region
from napari_smse.tiles import TileGrid, TileSpec

specs = st.builds(
    TileSpec,
    size_px=st.integers(16, 512),
    mpp=st.floats(0.1, 4),
    slide_mpp=st.floats(0.1, 2),
    overlap=st.sampled_from([0, 0.25, 0.5, 0.75]),
)
areas = st.builds(
    Region, st.integers(0, 500), st.integers(0, 500), st.integers(1, 9000), st.integers(1, 9000)
)


@given(specs, areas)
def test_the_grid_reaches_over_the_far_edge_and_no_further(spec, area):
    grid = TileGrid(spec, area)
    assert area.x + (grid.columns - 1) * spec.stride_level0 + spec.size_level0 >= (
        area.x + area.width - 1e-2
    )
    if grid.columns > 1:
        assert (grid.columns - 2) * spec.stride_level0 + spec.size_level0 < area.width


@given(specs, areas, st.sampled_from([1, 2, 4, 16]))
def test_tiles_never_stray_from_the_exact_grid_by_more_than_half_a_pixel(spec, area, pixel):
    grid = TileGrid(spec, area, pixel)
    columns = np.arange(min(grid.columns, 500))
    left = area.x + columns * spec.stride_level0
    half = pixel * (0.5 + 1e-6)  # what is not whole in binary may round the other way
    assert np.abs(grid.left(columns) - left).max() <= half
    assert np.abs(grid.right(columns) - (left + spec.size_level0)).max() <= half
    assert np.abs(grid.right(columns) - grid.left(columns) - grid.edge).max() <= pixel
    for edges in (grid.left(columns), grid.right(columns), grid.top(columns), grid.edge):
        assert not np.any(np.asarray(edges) % pixel)


@given(specs, areas, st.floats(0, 1), st.floats(0, 1))
def test_tiles_at_a_point_are_those_that_cover_it(spec, area, along, down):
    grid = TileGrid(spec, area)
    x, y = area.x + along * area.width, area.y + down * area.height
    columns, rows = grid.tiles_at(x, y)
    index = np.arange(min(grid.columns, 2000))
    left = area.x + index * spec.stride_level0
    inside = (left <= x) & (x < left + spec.size_level0)
    near_an_edge = np.isclose(left, x).any() or np.isclose(left + spec.size_level0, x).any()
    if not near_an_edge and grid.columns <= 2000:
        assert list(columns) == list(np.flatnonzero(inside))
    assert len(rows) <= np.ceil(spec.size_level0 / spec.stride_level0) + 1


def test_an_area_smaller_than_a_tile_still_has_one():
    grid = TileGrid(TileSpec(224, 0.5, 0.25), Region(0, 0, 10, 3))
    assert (grid.columns, grid.rows, grid.edge) == (1, 1, 448)
