import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.scoring.tile_table import TileTable
from napari_smse.similarity.tile_outlines import (
    covered_px,
    covered_regions,
    points_within,
    tiles_within,
)
from napari_smse.slides import Region
from napari_smse.tiles import ScaleTiles, TileGrid, TileSpec

AREA = Region(30, 10, 640, 480)


def tiles_of(*mpps, overlap=0.0):
    scales = []
    for mpp in mpps:
        grid = TileGrid(TileSpec(64, mpp, 0.25, overlap), AREA)
        rows, columns = (
            one.ravel().astype(np.int32) for one in np.mgrid[: grid.rows, : grid.columns]
        )
        scales.append(ScaleTiles(grid, columns, rows, np.ones(len(rows), np.float32)))
    number = sum(len(scale) for scale in scales)
    return TileTable(
        tuple(scales),
        np.ones((number, 2), np.float32),
        np.ones((number, 2), np.float32),
        ("benign", "malignant"),
    )


TILES = {
    "one scale": tiles_of(0.25),
    "overlapping": tiles_of(0.25, overlap=0.5),
    "two scales": tiles_of(0.25, 0.5),
}


@st.composite
def selections(draw):
    tiles = TILES[draw(st.sampled_from(sorted(TILES)))]
    share = draw(st.floats(0, 1))
    seed = draw(st.integers(0, 999))
    return tiles, np.random.default_rng(seed).random(len(tiles)) < share


def union(tiles, chosen):
    left, top, width, height = tiles.places[chosen].T
    return shapely.union_all(shapely.box(left, top, left + width, top + height))


@given(selections())
def test_what_is_covered_is_the_union_of_the_boxes(selection):
    tiles, chosen = selection
    whole = union(tiles, chosen)
    assert covered_px(tiles, chosen) == pytest.approx(whole.area)
    regions = covered_regions(tiles, chosen)
    assert all(region.is_valid for region in regions)
    assert shapely.union_all(regions).symmetric_difference(whole).area == 0
    assert sum(region.area for region in regions) == pytest.approx(whole.area)


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), max_size=40), st.floats(0, 4))
def test_points_are_told_by_where_they_lie(points, radius):
    circle = shapely.Point(0.5, -0.5).buffer(radius)
    points = np.array(points).reshape(-1, 2)
    expected = [circle.contains(shapely.Point(point)) for point in points]
    assert points_within(points, circle).tolist() == expected


def test_tiles_are_within_by_their_middles():
    tiles = TILES["two scales"]
    # Of the coarser tiles, which lie there too, no middle is inside.
    within = tiles_within(tiles, shapely.box(30, 10, 127, 43))
    found = [tiles.region(row) for row in np.flatnonzero(within)]
    assert found == [Region(30, 10, 64, 64), Region(94, 10, 64, 64)]
    assert not tiles_within(tiles, shapely.Polygon()).any()
