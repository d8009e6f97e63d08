import numpy as np
import shapely
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.tiles import tiles_in_region

X, Y = (index.ravel() * 100 for index in np.meshgrid(np.arange(6), np.arange(5)))


def chosen(region):
    inside = tiles_in_region(region, X, Y, 100)
    return set(zip(X[inside] // 100, Y[inside] // 100, strict=True))


def test_a_region_takes_the_tiles_it_half_covers():
    assert chosen(shapely.box(0, 0, 151, 149)) == {(0, 0), (1, 0)}


def test_a_region_smaller_than_a_tile_takes_the_tile_it_is_in():
    assert chosen(shapely.box(210, 310, 215, 312)) == {(2, 3)}


def test_a_small_region_across_four_tiles_takes_the_one_that_shows_most():
    assert chosen(shapely.box(290, 290, 309, 309)) == {(2, 2)}


def test_a_small_part_of_a_region_is_not_lost_beside_a_large_one():
    small = shapely.box(410, 310, 415, 312)
    both = shapely.MultiPolygon([shapely.box(0, 0, 200, 200), small])
    assert chosen(both) == {(0, 0), (1, 0), (0, 1), (1, 1), (4, 3)}


def test_parts_that_each_cover_too_little_of_a_tile_count_together():
    apart = shapely.MultiPolygon([shapely.box(0, 0, 130, 100), shapely.box(170, 0, 300, 100)])
    assert chosen(apart) == {(0, 0), (1, 0), (2, 0)}
    assert (1, 0) not in chosen(apart.geoms[0]) | chosen(apart.geoms[1])


def test_tiles_within_a_region_are_not_cut_out_of_it(monkeypatch):
    cut, intersection = [], shapely.intersection

    def counted(region, boxes):
        cut.extend(boxes)
        return intersection(region, boxes)

    monkeypatch.setattr(shapely, "intersection", counted)
    assert len(chosen(shapely.box(-10, -10, 550, 450))) == 29
    assert len(cut) == 10  # the last column and row, on the outline


def test_a_hole_is_left_out():
    ring = shapely.box(0, 0, 300, 300) - shapely.box(100, 100, 200, 200)
    assert (1, 1) not in chosen(ring)
    assert len(chosen(ring)) == 8


def test_a_region_beside_all_tiles_takes_none():
    assert chosen(shapely.box(5000, 5000, 5100, 5100)) == set()


@given(st.integers(0, 500), st.integers(0, 400), st.integers(1, 600), st.integers(1, 500))
def test_agrees_with_a_slow_loop(x, y, width, height):
    region = shapely.box(x, y, x + width, y + height)
    shares = {
        (i, j): region.intersection(
            shapely.box(i * 100, j * 100, i * 100 + 100, j * 100 + 100)
        ).area
        for i in range(6)
        for j in range(5)
    }
    least = min(10_000, region.area) / 2
    expected = {tile for tile, share in shares.items() if share >= least}
    if expected:
        assert chosen(region) == expected
    elif max(shares.values()) > 0:
        assert len(chosen(region)) == 1


def test_no_tiles_is_no_error():
    empty = np.empty(0, dtype=np.int32)
    assert tiles_in_region(shapely.box(0, 0, 1, 1), empty, empty, 100).shape == (0,)
