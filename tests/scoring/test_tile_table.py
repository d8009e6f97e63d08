import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.scoring import ScoreStore
from napari_smse.slides import Region
from napari_smse.tiles import Ground, ReadBlock, TilePlan, TissueMask
from support.exemplar_banks import CLASSES, made_scale, made_tiles

AREA = Region(0, 0, 640, 640)


@pytest.fixture
def store(tmp_path):
    """Two scales, four tiles and one."""
    scales = (made_scale(0.5, [0, 1, 0, 1], [0, 0, 1, 1]), made_scale(1.0, [0], [0]))
    blocks = (ReadBlock(AREA, 0.5, ((0, 0, 4), (1, 0, 1))),)
    mask = TissueMask(np.full((4, 4), Ground.TISSUE, np.uint8), AREA)
    return ScoreStore.create(
        tmp_path / "scores.zarr",
        TilePlan(scales, blocks, mask),
        CLASSES,
        2,
        {"precision": "float32"},
    )


def write(store, scale, start, number, embedding=(0.6, 0.8)):
    probability = np.tile(np.array([[0.25, 0.75]], np.float32), (number, 1))
    store.write_rows(scale, start, probability, np.tile(np.array([embedding]), (number, 1)))


def test_tiles_of_all_scales_lie_in_one_table(store):
    write(store, 0, 0, 4)
    write(store, 1, 0, 1)
    tiles = store.tile_table()
    assert len(tiles) == 5
    assert tiles.classes == CLASSES
    assert tiles.scale.tolist() == [0, 0, 0, 0, 1]
    assert tiles.mpps.tolist() == [0.5, 0.5, 0.5, 0.5, 1.0]
    assert tiles.places[:, 0].tolist() == [0, 64, 0, 64, 0]
    assert tiles.places[:, 2].tolist() == [64, 64, 64, 64, 128]
    assert tiles.region(3) == Region(64, 64, 64, 64)
    assert tiles.rows_of(1) == slice(4, 5)
    np.testing.assert_allclose(tiles.embeddings, [[0.6, 0.8]] * 5, atol=1e-3)


def test_tiles_that_are_not_scored_yet_are_left_out(store):
    assert len(store.tile_table()) == 0
    assert store.tile_table().places.shape == (0, 4)
    write(store, 0, 1, 2)
    tiles = store.tile_table()
    assert tiles.places[:, :2].tolist() == [[64, 0], [0, 64]]
    assert len(tiles.scales[1]) == 0


def test_a_tile_that_is_being_written_is_left_out(store):
    write(store, 0, 0, 2)
    write(store, 0, 2, 2, embedding=(0, 0))
    assert len(store.tile_table()) == 2


SCALES = (
    made_scale(0.5, [0, 1, 2, 0], [0, 0, 0, 1], overlap=0.5),
    made_scale(1.0, [0, 1], [0, 0]),
)
TILES = made_tiles(SCALES, np.full((6, 2), 0.5))


@given(x=st.floats(-10, 300), y=st.floats(-10, 300))
def test_at_a_point_lies_one_tile_of_each_scale(x, y):
    wanted = []
    for scale in range(2):
        best = None
        for row in range(6):
            left, top, width, height = TILES.places[row]
            inside = left <= x < left + width and top <= y < top + height
            off = np.hypot(left + width / 2 - x, top + height / 2 - y)
            if TILES.scale[row] == scale and inside and (best is None or off < best[0]):
                best = off, row
        wanted += [] if best is None else [best[1]]
    assert TILES.at(x, y) == wanted


def test_a_map_holds_the_values_of_its_scale_where_the_tiles_lie():
    tiles = made_tiles(
        (made_scale(0.5, [0, 2], [0, 1]), made_scale(1.0, [1], [0])), np.full((3, 2), 0.5)
    )
    values = np.array([1.0, np.nan, 3.0])
    fine = tiles.heat_map(values, 0)
    assert fine.values[0, 0] == 1.0
    assert np.isfinite(fine.values).sum() == 1
    coarse = tiles.heat_map(values, 1)
    assert coarse.cell == 128
    assert coarse.values[0, 1] == 3.0
    assert np.isfinite(coarse.values).sum() == 1
