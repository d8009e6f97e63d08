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
def test_the_grid_of_earlier_versions_reaches_over_the_far_edge_and_no_further(spec, area):
    grid = TileGrid(spec, area, inside=False)
    assert area.x + (grid.columns - 1) * spec.stride_level0 + spec.size_level0 >= (
        area.x + area.width - 1e-2
    )
    if grid.columns > 1:
        assert (grid.columns - 2) * spec.stride_level0 + spec.size_level0 < area.width


@given(specs, areas, st.sampled_from([1, 2, 4, 16]))
def test_tiles_lie_inside_and_leave_out_less_than_a_pixel(spec, area, pixel):
    grid = TileGrid(spec, area, pixel)
    columns, rows = np.arange(grid.columns), np.arange(grid.rows)
    sides = (
        (grid.left(columns), grid.right(columns), area.x, area.width),
        (grid.top(rows), grid.bottom(rows), area.y, area.height),
    )
    for begin, end, origin, extent in sides:
        assert begin[0] <= origin + pixel / 2
        assert np.all(np.diff(begin) >= 0)
        if extent >= spec.size_level0 + pixel:
            assert end.max() <= origin + extent + pixel / 2
            assert end.max() > origin + extent - 2 * pixel
            # Neighbours meet but for rounding: nothing between them is left out.
            assert np.all(begin[1:] <= end[:-1] + pixel)


@given(specs, areas, st.sampled_from([1, 2, 4, 16]))
def test_tiles_never_stray_from_the_exact_grid_by_more_than_half_a_pixel(spec, area, pixel):
    grid = TileGrid(spec, area, pixel)
    columns = np.arange(min(grid.columns, 500))
    # But for those that would not end a pixel before the area does: they end where it does.
    far = area.x + area.width - spec.size_level0 - pixel
    columns = columns[(columns == 0) | (area.x + columns * spec.stride_level0 <= far)]
    left = area.x + columns * spec.stride_level0
    half = pixel * (0.5 + 1e-6)  # what is not whole in binary may round the other way
    assert np.abs(grid.left(columns) - left).max() <= half
    assert np.abs(grid.right(columns) - (left + spec.size_level0)).max() <= half
    assert np.abs(grid.right(columns) - grid.left(columns) - grid.edge).max() <= pixel
    for edges in (grid.left(columns), grid.right(columns), grid.top(columns), grid.edge):
        assert not np.any(np.asarray(edges) % pixel)


def test_an_area_smaller_than_a_tile_still_has_one():
    grid = TileGrid(TileSpec(224, 0.5, 0.25), Region(0, 0, 10, 3))
    assert (grid.columns, grid.rows, grid.edge) == (1, 1, 448)
