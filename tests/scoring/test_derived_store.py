import numpy as np
import pytest

from napari_smse.scoring import ScoreStore
from napari_smse.scoring.derived_store import derived_store
from napari_smse.slides import Region
from napari_smse.tiles import (
    Ground,
    ReadBlock,
    ScaleTiles,
    TileGrid,
    TilePlan,
    TileSpec,
    TissueMask,
)

AREA = Region(0, 0, 400, 200)
MODEL = {"name": "first", "hash": "1", "classes": ["benign", "malignant"]}
TUNED = {"name": "tuned", "hash": "2", "classes": ["a", "b", "c"]}
FACTS = {"slide": {"quick_hash": "a"}, "model": MODEL, "request": {}, "precision": "float32"}


@pytest.fixture
def plan():
    columns, rows = np.array([0, 1], np.int32), np.array([0, 1], np.int32)
    grid = TileGrid(TileSpec(50, 0.5, 0.25), AREA)
    tiles = ScaleTiles(grid, columns, rows, np.ones(2, np.float32))
    blocks = tuple(ReadBlock(AREA, 0.5, ((0, n, n + 1),)) for n in range(2))
    return TilePlan((tiles,), blocks, TissueMask(np.full((4, 4), Ground.TISSUE, np.uint8), AREA))


@pytest.fixture
def source(tmp_path, plan):
    """A run of which the first block was scored."""
    made = ScoreStore.create(tmp_path / "source.zarr", plan, ("benign", "malignant"), 3, FACTS)
    made.write_rows(0, 0, np.array([[0.1, 0.9]], np.float32), np.array([[1.0, 0, 0]]))
    made.mark_done([0])
    return made


def derived(tmp_path, plan, source):
    probability = np.array([[0.2, 0.3, 0.5], [np.nan] * 3], np.float32)
    embedding = np.array([[0, 1.0], [0, 0]])
    path = tmp_path / "derived.zarr"
    scores = [(probability, embedding)]
    return derived_store(path, source, plan, "abc", scores, {"model": TUNED})


def test_it_has_the_new_scores_of_the_same_tiles(tmp_path, plan, source):
    store = derived(tmp_path, plan, source)
    scores = store.scale(0)
    assert store.classes == ("a", "b", "c")
    np.testing.assert_allclose(scores.probability[0], [0.2, 0.3, 0.5])
    assert np.isnan(scores.probability[1]).all()
    np.testing.assert_array_equal(scores.embedding, [[0, 1], [0, 0]])
    np.testing.assert_array_equal(scores.tiles.x, source.scale(0).tiles.x)
    assert store.facts["model"] == TUNED
    assert store.facts["slide"] == FACTS["slide"]
    assert source.facts["model"] == FACTS["model"]


def test_it_is_as_far_done_as_its_source(tmp_path, plan, source):
    store = derived(tmp_path, plan, source)
    assert store.blocks_done().tolist() == [True, False]
    assert not store.finished
    source.finish(complete=False, seconds=1.5)
    store = derived(tmp_path, plan, source)
    assert store.finished
    assert not store.complete
    assert store.facts["seconds"] == 1.5


def test_the_same_weights_can_get_another_name(tmp_path, plan, source):
    named = {**MODEL, "name": "mine"}
    source.name_model(named)
    assert ScoreStore.open(source.path).facts["model"] == named
