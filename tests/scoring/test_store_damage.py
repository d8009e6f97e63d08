"""Whatever happens to a file of a store on a disk is noticed when it is read."""

from __future__ import annotations

import logging
import random
from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_smse.errors import OutputError
from napari_smse.scoring import ScoreStore
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
from support.stores import forget_checksums

AREA = Region(5, 7, 100_000, 100_000)
TILES = 2_050
"""More than a chunk holds."""


@pytest.fixture
def store(tmp_path: Path) -> ScoreStore:
    """A store with all its tiles scored."""
    rng = np.random.default_rng(0)
    places = np.arange(TILES, dtype=np.int32)
    tiles = ScaleTiles(
        TileGrid(TileSpec(50, 0.5, 0.25, 0.5), AREA),
        places % 50,
        places // 50,
        rng.random(TILES).astype(np.float32),
    )
    plan = TilePlan(
        (tiles,),
        (ReadBlock(AREA, 0.5, ((0, 0, TILES),)),),
        TissueMask(np.full((4, 4), Ground.TISSUE, np.uint8), AREA),
    )
    facts = {
        "slide": {"quick_hash": "a", "name": "b", "mpp": 0.25},
        "model": {"hash": "c", "name": "d", "classes": ["benign", "malignant"]},
    }
    made = ScoreStore.create(tmp_path / "scores.zarr", plan, ("benign", "malignant"), 2, facts)
    probability = rng.random((TILES, 2)).astype(np.float32)
    looks = rng.random(made.appearance(0).shape).astype(np.float32)
    made.write_rows(0, 0, probability, rng.random((TILES, 2)), looks)
    made.mark_done([0])
    made.finish(seconds=1.0)
    return made


def read_all(path: Path) -> None:
    ScoreStore.open(path).scale(0)


def files(store: ScoreStore) -> list[Path]:
    return sorted(file for file in store.path.rglob("*") if file.is_file())


def test_one_flipped_bit_is_noticed_in_every_file(store: ScoreStore) -> None:
    read_all(store.path)
    rng = random.Random(0)
    for file in files(store):
        content = file.read_bytes()
        for place in rng.sample(range(len(content)), min(6, len(content))):
            flipped = bytearray(content)
            flipped[place] ^= 1 << rng.randrange(8)
            file.write_bytes(flipped)
            with pytest.raises(OutputError, match="remove it and score the slide again"):
                read_all(store.path)
        file.write_bytes(content)


def test_a_missing_file_is_noticed(store: ScoreStore) -> None:
    for file in files(store):
        content = file.read_bytes()
        file.unlink()
        with pytest.raises(OutputError, match="score the slide again"):
            read_all(store.path)
        file.write_bytes(content)
    read_all(store.path)


def test_scores_that_were_lost_after_the_time_was_up_are_noticed(store: ScoreStore) -> None:
    store.finish(complete=False)
    (store.path / "scale_0" / "probability" / "c" / "1" / "0").unlink()
    with pytest.raises(OutputError):
        ScoreStore.open(store.path).scale(0)


def test_a_changed_fact_is_noticed(store: ScoreStore) -> None:
    group = zarr.open_group(store.path, mode="r+")
    group.attrs.update({"seconds": 2.0})
    with pytest.raises(OutputError):
        ScoreStore.open(store.path)


def test_a_store_of_an_earlier_version_is_read_and_said_to_be_unchecked(
    store: ScoreStore, caplog: pytest.LogCaptureFixture
) -> None:
    forget_checksums(store)
    with caplog.at_level(logging.INFO):
        read_all(store.path)
    assert "no checksums" in caplog.text
    again = ScoreStore.open(store.path)
    again.finish(seconds=2.0)
    assert ScoreStore.open(store.path).facts["version"] == 1
