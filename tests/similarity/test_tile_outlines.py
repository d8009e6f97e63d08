import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.similarity.tile_outlines import hit_area, hit_regions, middles
from napari_smse.slides import Region
from napari_smse.tiles import ScaleTiles, TileGrid, TileSpec


def tiles_of(mpp=0.5, overlap=0.0, pixel=1, extent=(1500, 1200), x=0, y=0):
    """All tiles of a grid of 64 px tiles on a slide of 0.25 um/px."""
    grid = TileGrid(TileSpec(64, mpp, 0.25, overlap), Region(x, y, *extent), pixel)
    rows, columns = np.divmod(np.arange(grid.rows * grid.columns), grid.columns)
    number = len(rows)
    return ScaleTiles(
        grid, columns.astype(np.int32), rows.astype(np.int32), np.ones(number, np.float32)
    )


def boxes(tiles, hits):
    """The boxes of hits, one by one."""
    return [shapely.box(one.x, one.y, one.right, one.bottom) for one in map(tiles.region, hits)]


grids = st.builds(
    tiles_of,
    # Where the edge of a tile is no whole number of level-0 px, its neighbours' edges are rounded.
    mpp=st.sampled_from([0.25, 0.5, 0.7, 1.0, 1.1237]),
    overlap=st.sampled_from([0.0, 0.25, 0.5]),
    pixel=st.sampled_from([1, 4]),
    x=st.integers(0, 50),
    y=st.integers(0, 50),
)


@st.composite
def grid_and_hits(draw):
    tiles = draw(grids)
    share = draw(st.sampled_from([0.02, 0.2, 0.5, 0.9]))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    return tiles, rng.uniform(size=len(tiles)) < share


@given(grid_and_hits())
def test_every_hit_is_inside_and_nothing_that_no_hit_covers(found):
    tiles, hits = found
    whole = shapely.MultiPolygon(hit_regions(tiles, hits))
    points = middles(tiles)
    inside = shapely.contains_xy(whole, points[:, 0], points[:, 1])
    assert inside[hits].all()
    # A middle can be covered by a neighbour that is a hit only on grids with overlap, or where the
    # last tiles are moved back. An edge may be off by what rounding moves it.
    near = shapely.union_all(boxes(tiles, np.flatnonzero(hits))).buffer(tiles.grid.pixel)
    covered = shapely.contains_xy(near, points[:, 0], points[:, 1])
    assert not (inside & ~covered).any()
    if tiles.grid.spec.overlap == 0:
        alone = (tiles.columns < tiles.grid.columns - 2) & (tiles.rows < tiles.grid.rows - 2)
        np.testing.assert_array_equal(inside[alone], hits[alone])


@given(grid_and_hits())
def test_they_are_whole_polygons_that_share_no_edge_and_no_sliver(found):
    tiles, hits = found
    parts = hit_regions(tiles, hits)
    assert all(part.is_valid and part.geom_type == "Polygon" for part in parts)
    joined = shapely.union_all(parts) if parts else shapely.MultiPolygon()
    assert joined.area == sum(part.area for part in parts)
    # Parts that share an edge would be one part of the union.
    assert len(shapely.get_parts(joined)) == len(parts)
    for part in parts:
        for ring in (part.exterior, *part.interiors):
            corners = np.asarray(ring.coords)
            # No edge as short as rounding, and no corner on a straight edge.
            assert np.abs(np.diff(corners, axis=0)).max(axis=1).min() > tiles.grid.pixel
            assert len(corners) - 1 <= _turns(corners) + 1


def _turns(corners):
    steps = np.diff(corners, axis=0)
    after = np.roll(steps, -1, axis=0)
    return int((steps[:, 0] * after[:, 1] != steps[:, 1] * after[:, 0]).sum())


@pytest.mark.parametrize("overlap", [0.0, 0.5])
@pytest.mark.parametrize("seed", range(5))
def test_on_a_grid_of_whole_pixels_they_are_the_union_of_the_boxes(overlap, seed):
    tiles = tiles_of(overlap=overlap)
    hits = np.random.default_rng(seed).uniform(size=len(tiles)) < 0.4
    want = shapely.union_all(boxes(tiles, np.flatnonzero(hits)))
    got = shapely.union_all(hit_regions(tiles, hits))
    assert got.symmetric_difference(want).area == 0
    assert hit_area(tiles, hits) == want.area


@given(grid_and_hits())
def test_the_area_is_that_of_the_regions(found):
    tiles, hits = found
    parts = hit_regions(tiles, hits)
    assert hit_area(tiles, hits) == pytest.approx(sum(part.area for part in parts))


def test_no_hit_is_no_region():
    tiles = tiles_of()
    none = np.zeros(len(tiles), bool)
    assert hit_regions(tiles, none) == []
    assert hit_area(tiles, none) == 0


def test_a_hole_stays_a_hole():
    tiles = tiles_of()
    middle = (tiles.columns == 3) & (tiles.rows == 3)
    near = (abs(tiles.columns - 3) <= 1) & (abs(tiles.rows - 3) <= 1)
    (ring,) = hit_regions(tiles, near & ~middle)
    (hole,) = ring.interiors
    assert shapely.Polygon(hole).equals(boxes(tiles, np.flatnonzero(middle))[0])


def test_tiles_that_touch_at_a_corner_are_two_regions():
    tiles = tiles_of()
    assert len(hit_regions(tiles, (tiles.columns == tiles.rows) & (tiles.rows < 2))) == 2
