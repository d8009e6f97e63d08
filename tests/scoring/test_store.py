import json
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import zarr

from napari_smse.errors import OutputError
from napari_smse.scoring import ScoreStore
from napari_smse.scoring.store import signature
from napari_smse.slides import Region
from napari_smse.tiles import (
    Ground,
    PlacedTiles,
    ReadBlock,
    ScaleTiles,
    TileGrid,
    TilePlan,
    TileSpec,
    TissueMask,
)

AREA = Region(5, 7, 1000, 400)
SLIDE = {"slide": {"quick_hash": "a"}}


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
    return ScoreStore.create(path, plan, ("benign", "malignant"), 3, facts or SLIDE)


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


def test_tiles_that_another_program_placed_keep_their_places(tmp_path, plan):
    # Two of them lie in one cell.
    corners = np.array([(5, 7), (31, 90), (36, 92), (400, 300)], np.int32)
    tissue = np.array([1, 0.5, 0.25, 0], np.float32)
    tiles = PlacedTiles.near(plan.scales[0].grid, corners, tissue)
    store = create(tmp_path / "scores.zarr", replace(plan, scales=(tiles,)))
    found = store.scale(0).tiles
    np.testing.assert_array_equal(np.column_stack([found.x, found.y]), corners)
    np.testing.assert_array_equal(found.tissue, tissue)
    assert (found.columns[1], found.rows[1]) == (found.columns[2], found.rows[2])
    assert isinstance(found, PlacedTiles)
    # A place that is not the nearest to its cell.
    zarr.open_group(store.path)["scale_0/x"][3] = 900
    with pytest.raises(OutputError, match="holds no readable scores"):
        ScoreStore.open(store.path).scale(0)


def test_finishing_makes_it_complete_and_keeps_the_facts(tmp_path, plan):
    create(tmp_path / "scores.zarr", plan, {"slide": {"quick_hash": "b"}}).finish(seconds=1.5)
    store = ScoreStore.open(tmp_path / "scores.zarr")
    assert store.complete
    assert store.facts["seconds"] == 1.5
    assert store.facts["slide"] == {"quick_hash": "b"}
    assert store.facts["signature"] == signature({"slide": {"quick_hash": "b"}})


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


@pytest.mark.parametrize(
    "change",
    [
        {
            "codecs": [
                {"name": "bytes", "configuration": {"endian": "little"}},
                {"name": "gzip", "configuration": {"level": 1}},
            ]
        },
        {"data_type": "float64"},
        {"shape": [4]},
        {"node_type": "group"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_array_that_is_never_written_so_is_refused(tmp_path, plan, change):
    create(tmp_path / "scores.zarr", plan)
    file = tmp_path / "scores.zarr" / "scale_0" / "tissue" / "zarr.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(OutputError, match="no readable scores: remove it"):
        ScoreStore.open(tmp_path / "scores.zarr")


FACTS = {
    "slide": {"quick_hash": "a"},
    "model": {"hash": "b", "name": "c", "classes": ["benign", "malignant"]},
    "request": {"mpps": [0.5]},
    "precision": "float32",
    "runtime": "torch",
    "seconds": 1.0,
    "finished": "2026-11-29T10:00:00+00:00",
}
ROOT_FACTS = (*FACTS, "signature", "classes", "scales", "complete", "started")
SCALE_FACTS = ("mpp", "tile_px", "slide_mpp", "overlap", "area", "pixel")
WRONG = [None, [None], {"a": 1}, "text", -1, float("nan")]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
@pytest.mark.parametrize(
    ("group", "name"),
    [*(("", name) for name in ROOT_FACTS), *(("scale_0", name) for name in SCALE_FACTS)],
)
def test_a_fact_of_a_wrong_type_is_said_so_or_read_as_one(tmp_path, plan, group, name, wrong):
    create(tmp_path / "scores.zarr", plan, FACTS)
    file = tmp_path / "scores.zarr" / group / "zarr.json"
    about = json.loads(file.read_text())
    about["attributes"][name] = wrong
    file.write_text(json.dumps(about))
    with suppress(OutputError):
        store = ScoreStore.open(tmp_path / "scores.zarr")
        assert len(store.classes) == 2
        assert (store.complete, store.finished) is not None
        assert float(store.facts["seconds"]) >= 0
        for number in range(store.scale_count):
            assert store.scale(number).heat_map(1).values.size
