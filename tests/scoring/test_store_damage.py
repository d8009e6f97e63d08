"""Whatever happens to a file of a store on a disk is noticed when it is read."""

from __future__ import annotations

import logging
import random
from pathlib import Path

import pytest
import zarr

from napari_smse.errors import OutputError
from napari_smse.scoring import ScoreStore
from support.stores import forget_checksums, scored_store

TILES = 2_050
"""More than a chunk holds."""


@pytest.fixture
def store(tmp_path: Path) -> ScoreStore:
    """A store with all its tiles scored."""
    return scored_store(tmp_path / "scores.zarr", TILES)


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
