"""Tiles called otherwise than before."""

from __future__ import annotations

import numpy as np
import pytest

from napari_smse.finetuning.changed_calls import changed_calls
from napari_smse.scoring import ScaleScores
from napari_smse.slides import Region
from napari_smse.tiles import ScaleTiles, TileGrid, TileSpec

CLASSES = ("benign", "malignant")


def scores(malignant: list[float], mpp: float = 0.5) -> ScaleScores:
    number = len(malignant)
    grid = TileGrid(TileSpec(size_px=64, mpp=mpp, slide_mpp=0.5), Region(0, 0, 64 * number, 64))
    tiles = ScaleTiles(
        grid,
        np.arange(number, dtype=np.int32),
        np.zeros(number, dtype=np.int32),
        np.ones(number, dtype=np.float32),
    )
    second = np.array(malignant, dtype=np.float32)
    return ScaleScores(tiles, np.stack([1 - second, second], axis=1), np.empty((0, 0), np.float16))


def test_furthest_moved_first_and_only_where_the_call_changed() -> None:
    before = [scores([0.1, 0.9, 0.4, 0.2]), scores([0.6], mpp=1.0)]
    after = [scores([0.6, 0.95, 0.8, 0.4]), scores([0.1], mpp=1.0)]
    found, number = changed_calls(before, after, CLASSES)
    assert number == len(found) == 3
    assert [one.moved for one in found] == pytest.approx([0.5, 0.5, 0.4])
    assert [(one.before, one.after) for one in found[:2]] == [
        ("benign", "malignant"),
        ("malignant", "benign"),
    ]
    assert [one.mpp for one in found] == [0.5, 1.0, 0.5]
    assert found[2].region == Region(128, 0, 64, 64)


def test_what_was_not_scored_never_flips_and_long_lists_are_cut() -> None:
    before = [scores([0.1, float("nan"), 0.1, 0.1])]
    after = [scores([0.9, 0.9, float("nan"), 0.8])]
    found, number = changed_calls(before, after, CLASSES, max_tiles=1)
    assert (len(found), number) == (1, 2)
    assert found[0].region.x == 0
