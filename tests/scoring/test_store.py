import numpy as np
import pytest
import zarr

from napari_smse.errors import OutputError
from napari_smse.scoring import ScoreStore
from napari_smse.scoring.store import signature
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

AREA = Region(5, 7, 1000, 400)


@pytest.fixture
def plan():
    grid = TileGrid(TileSpec(50, 0.5, 0.25, 0.5), AREA)
    tiles = ScaleTiles(
        grid,
        np.array([0, 1, 4], np.int32),
        np.array([0, 2, 3], np.int32),
        np.array([1, 0.5, 0.25], np.float32),
    )
    blocks = (ReadBlock(AREA, 0.5, ((0, 0, 2),)), ReadBlock(AREA, 0.5, ((0, 2, 3),)))
    return TilePlan((tiles,), blocks, TissueMask(np.full((4, 4), Ground.TISSUE, np.uint8), AREA))


def create(path, plan, facts=None):
    return ScoreStore.create(path, plan, ("benign", "malignant"), 3, facts or {"slide": "a"})


def test_what_is_written_is_read_back(tmp_path, plan):
    store = create(tmp_path / "scores.zarr", plan)
    probability = np.array([[0.1, 0.9], [0.6, 0.4]], np.float32)
    embedding = np.array([[1, 0, 0], [0, 0.6, 0.8]])
    store.write_rows(0, 0, probability, embedding)
    store.mark_done([0])

    again = ScoreStore.open(tmp_path / "scores.zarr")
    scores = again.scale(0)
    np.testing.assert_array_equal(scores.probability[:2], probability)
    np.testing.assert_allclose(scores.embedding[:2], embedding, atol=1e-3)
    assert np.isnan(scores.probability[2]).all()
    assert again.blocks_done().tolist() == [True, False]
    assert not again.complete
    assert again.classes == ("benign", "malignant")
    assert scores.tiles.grid == plan.scales[0].grid
    for name in ("x", "y", "width", "height", "tissue"):
        np.testing.assert_array_equal(getattr(scores.tiles, name), getattr(plan.scales[0], name))


def test_finishing_makes_it_complete_and_keeps_the_facts(tmp_path, plan):
    create(tmp_path / "scores.zarr", plan, {"slide": "b"}).finish(seconds=1.5)
    store = ScoreStore.open(tmp_path / "scores.zarr")
    assert store.complete
    assert store.facts["seconds"] == 1.5
    assert store.facts["slide"] == "b"
    assert store.facts["signature"] == signature({"slide": "b"})


def test_creating_replaces_what_was_there_and_leaves_nothing_beside_it(tmp_path, plan):
    create(tmp_path / "scores.zarr", plan).finish()
    store = create(tmp_path / "scores.zarr", plan)
    assert not store.complete
    assert [path.name for path in tmp_path.iterdir()] == ["scores.zarr"]


def test_a_store_that_was_being_made_when_the_process_died_is_not_there(
    tmp_path, plan, monkeypatch
):
    class Killed(BaseException):
        pass

    def die(*_args, **_options):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("napari_smse.scoring.store.signature", die)
        with pytest.raises(Killed):
            create(tmp_path / "scores.zarr", plan)
    assert not (tmp_path / "scores.zarr").exists()
    assert not create(tmp_path / "scores.zarr", plan).complete


@pytest.mark.parametrize("content", ["nothing", "a file", "another zarr"])
def test_what_is_no_store_is_said_so(tmp_path, content):
    path = tmp_path / "scores.zarr"
    if content == "a file":
        path.write_text("")
    elif content == "another zarr":
        zarr.open_group(path, mode="w").attrs["format"] = "something else"
    with pytest.raises(OutputError, match="score the slide again"):
        ScoreStore.open(path)


def test_a_signature_is_the_same_for_the_same_facts_only():
    assert signature({"a": 1, "b": [2]}) == signature({"b": [2], "a": 1})
    assert signature({"a": 1}) != signature({"a": 2})


@pytest.mark.parametrize("damaged", ["scale_0/zarr.json", "blocks_done/c/0", "zarr.json"])
def test_a_damaged_store_is_said_so_when_it_is_opened(tmp_path, plan, damaged):
    store = create(tmp_path / "scores.zarr", plan)
    store.mark_done([0])
    (tmp_path / "scores.zarr" / damaged).write_bytes(b"{")
    with pytest.raises(OutputError, match="no readable scores: remove it"):
        ScoreStore.open(tmp_path / "scores.zarr")


def test_damaged_scores_are_said_so_when_they_are_read(tmp_path, plan):
    store = create(tmp_path / "scores.zarr", plan)
    (tmp_path / "scores.zarr" / "scale_0" / "x" / "c" / "0").write_bytes(b"{")
    (tmp_path / "scores.zarr" / "scale_0" / "row" / "c" / "0").write_bytes(b"{")
    with pytest.raises(OutputError, match="no readable scores: remove it"):
        store.scale(0)
