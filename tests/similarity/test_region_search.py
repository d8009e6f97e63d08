import numpy as np
import pytest
from shapely import Point, box

from napari_smse.errors import QueryError
from napari_smse.scoring.tile_table import TileTable
from napari_smse.similarity.region_search import find_similar_tiles, query_tiles
from napari_smse.slides import Region
from napari_smse.tiles import ScaleTiles, TileGrid, TileSpec

SIDE = 12
MODEL = "a" * 64


def scale_tiles(overlap=0.0, mpp=0.25):
    """Tiles of 64 px at 0.25 um/px on a square slide whose right half is glass."""
    edge = SIDE * 64
    grid = TileGrid(TileSpec(64, mpp, 0.25, overlap), Region(0, 0, edge, edge))
    rows, columns = np.divmod(np.arange(grid.rows * grid.columns), grid.columns)
    tissue = columns < grid.columns // 2
    rows, columns = rows[tissue].astype(np.int32), columns[tissue].astype(np.int32)
    return ScaleTiles(grid, columns, rows, np.ones(len(rows), np.float32))


def slide(*scales):
    """What tiles are like turns with where they lie: neighbours are alike."""
    scales = scales or (scale_tiles(),)
    parts = []
    for tiles in scales:
        angle = tiles.columns * 0.1 + tiles.rows * 0.01
        parts.append(np.stack([np.cos(angle), np.sin(angle)], axis=1))
    embeddings = np.concatenate(parts).astype(np.float32)
    probability = np.full((len(embeddings), 2), 0.5, np.float32)
    return TileTable(scales, embeddings, probability, ("benign", "malignant"))


def at(tiles, column, row):
    (found,) = np.flatnonzero((tiles.columns == column) & (tiles.rows == row))
    return int(found)


def test_tiles_whose_middle_is_inside_are_the_examples():
    tiles = scale_tiles()
    found = query_tiles(tiles, [box(0, 0, 100, 60), box(64, 0, 128, 64)])
    assert found.rows.tolist() == [at(tiles, 0, 0), at(tiles, 1, 0)]
    assert found.beside == 0


def test_an_area_smaller_than_a_tile_means_the_tile_it_lies_on():
    tiles = scale_tiles()
    assert query_tiles(tiles, [box(70, 130, 72, 133)]).rows.tolist() == [at(tiles, 1, 2)]
    half = scale_tiles(overlap=0.5)
    # Of the four that cover the point, the one whose middle is nearest.
    assert query_tiles(half, [Point(70, 130).buffer(1)]).rows.tolist() == [at(half, 1, 3)]


def test_an_area_on_glass_is_counted_and_not_an_example():
    found = query_tiles(scale_tiles(), [box(600, 0, 700, 100), box(0, 0, 64, 64)])
    assert (len(found), found.beside) == (1, 1)


def test_nearest_tiles_come_first_and_examples_are_left_out():
    tiles = slide()
    found = find_similar_tiles(tiles, 0, [box(1, 1, 63, 63)], [], MODEL)
    assert found.distances[at(found.tiles, 0, 0)] == 0
    near = [at(found.tiles, 0, row) for row in range(1, 4)]
    assert found.order[:3].tolist() == near
    assert len(found.order) == len(tiles) - 1
    assert np.diff(found.distances[found.order]).min() >= 0
    assert found.reach == pytest.approx(found.distances.max())


def test_what_is_not_meant_takes_its_neighbours_with_it():
    found = find_similar_tiles(slide(), 0, [box(1, 1, 63, 63)], [box(257, 1, 319, 63)], MODEL)
    hits = found.hits(2.0)
    assert hits[at(found.tiles, 1, 0)]
    assert not hits[at(found.tiles, 3, 0)]
    assert not hits[at(found.tiles, 4, 0)]
    assert not np.isin(np.flatnonzero(~hits), found.order).any()


def test_what_was_shown_is_known_for_certain():
    # A tile in both areas is not meant, as that was said of it in particular.
    found = find_similar_tiles(slide(), 0, [box(0, 0, 384, 768)], [box(1, 1, 63, 63)], MODEL)
    assert np.isinf(found.distances[at(found.tiles, 0, 0)])
    assert (found.distances[1:] == 0).all()


def test_only_the_scale_that_is_asked_for_is_searched():
    fine, coarse = scale_tiles(), scale_tiles(mpp=0.5)
    tiles = slide(fine, coarse)
    found = find_similar_tiles(tiles, 1, [box(0, 0, 384, 384)], [], MODEL)
    assert len(found.distances) == len(coarse)
    assert found.tiles is coarse


@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_the_map_is_within_a_radius_where_hits_are(overlap):
    tiles = slide(scale_tiles(overlap))
    found = find_similar_tiles(tiles, 0, [Point(40, 40).buffer(1)], [], MODEL)
    cells = found.heat_map()
    for radius in (0.0, 0.05, 0.2, found.reach):
        hits = found.tiles.take(np.flatnonzero(found.hits(radius)))
        x, y = np.meshgrid(*cells.centres())
        covered = np.zeros(x.shape, bool)
        for left, top, width, height in zip(hits.x, hits.y, hits.width, hits.height, strict=True):
            covered |= (left < x) & (x < left + width) & (top < y) & (y < top + height)
        np.testing.assert_array_equal(cells.values <= radius, covered)
        assert found.area(radius) == covered.sum() * cells.cell**2
    # Glass is no distance at all.
    assert np.isnan(cells.at(np.array([SIDE * 64 - 10.0]), np.array([10.0]))).all()


def test_the_first_radius_finds_some_but_not_all():
    found = find_similar_tiles(slide(), 0, [box(1, 1, 63, 63)], [], MODEL)
    hits = found.hits(found.first_radius)
    assert 20 <= hits.sum() < 40


def test_a_first_radius_is_there_when_there_is_nothing_else():
    found = find_similar_tiles(slide(), 0, [box(0, 0, 384, 768)], [], MODEL)
    assert found.first_radius == found.reach == 0
    assert found.hits(0).all()


def test_nothing_to_look_for_says_what_to_do():
    with pytest.raises(QueryError, match="nothing to look for"):
        find_similar_tiles(slide(), 0, [], [], MODEL)


def test_a_query_on_glass_says_what_to_do():
    with pytest.raises(QueryError, match="no scored tissue in what you chose"):
        find_similar_tiles(slide(), 0, [box(600, 0, 700, 100)], [], MODEL)
