"""Stores of scores made up for the tests, and as earlier versions wrote them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

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

_AREA = Region(0, 0, 100_000, 100_000)


def arrays_of(store: Path) -> dict[str, NDArray[Any]]:
    """Return all arrays of a store by their names."""
    members = zarr.open_group(store, mode="r").members(max_depth=None)
    return {name: one[:] for name, one in members if isinstance(one, zarr.Array)}


def scored_store(path: Path, count: int = 12) -> ScoreStore:
    """Write a store of so many tiles, all of them scored."""
    rng = np.random.default_rng(0)
    places = np.arange(count, dtype=np.int32)
    tiles = ScaleTiles(
        TileGrid(TileSpec(50, 0.5, 0.25, 0.5), _AREA),
        places % 50,
        places // 50,
        rng.random(count).astype(np.float32),
    )
    plan = TilePlan(
        (tiles,),
        (ReadBlock(_AREA, 0.5, ((0, 0, count),)),),
        TissueMask(np.full((4, 4), Ground.TISSUE, np.uint8), _AREA),
    )
    facts = {
        "slide": {"quick_hash": "a", "name": "b", "mpp": 0.25},
        "model": {"hash": "c", "name": "d", "classes": ["benign", "malignant"]},
    }
    store = ScoreStore.create(path, plan, ("benign", "malignant"), 3, facts)
    probability = rng.random((count, 2)).astype(np.float32)
    looks = rng.random(store.appearance(0).shape).astype(np.float32)
    store.write_rows(0, 0, probability, rng.random((count, 3)), looks)
    store.mark_done([0])
    store.finish(seconds=1.0)
    return store


def forget_appearance(store: ScoreStore) -> None:
    """Take away what the tiles look like, which stores did not hold before version 0.2."""
    for number in range(store.scale_count):
        shutil.rmtree(store.path / f"scale_{number}" / "appearance")
    forget_checksums(store)


def forget_checksums(store: ScoreStore) -> None:
    """Make a store of version 1, which had none."""
    file = store.path / "zarr.json"
    content = json.loads(file.read_bytes())
    attributes = content["attributes"]
    for name in ("layout_sha256", "facts_sha256", "scored_tiles"):
        attributes.pop(name, None)
    attributes["version"] = 1
    file.write_text(json.dumps(content))
