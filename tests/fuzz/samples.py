"""Good files that take more than a line to make."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from napari_smse.models.card import OOD_REFERENCE_SUFFIX
from napari_smse.models.model_files import model_paths
from napari_smse.scoring import ScoreStore
from napari_smse.similarity.ood.reference import ood_reference_path
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

_AREA = Region(0, 0, 1000, 1000)
_TILES = 12


def scored_store(path: Path) -> ScoreStore:
    """Write a store whose tiles are all scored."""
    rng = np.random.default_rng(0)
    places = np.arange(_TILES, dtype=np.int32)
    tiles = ScaleTiles(
        TileGrid(TileSpec(50, 0.5, 0.25, 0.5), _AREA),
        places % 4,
        places // 4,
        rng.random(_TILES).astype(np.float32),
    )
    plan = TilePlan(
        (tiles,),
        (ReadBlock(_AREA, 0.5, ((0, 0, _TILES),)),),
        TissueMask(np.full((4, 4), Ground.TISSUE, np.uint8), _AREA),
    )
    facts = {
        "slide": {"quick_hash": "a", "name": "b", "mpp": 0.25},
        "model": {"hash": "c", "name": "d", "classes": ["benign", "malignant"]},
    }
    store = ScoreStore.create(path, plan, ("benign", "malignant"), 3, facts)
    probability = rng.random((_TILES, 2)).astype(np.float32)
    looks = rng.random(store.appearance(0).shape).astype(np.float32)
    store.write_rows(0, 0, probability, rng.random((_TILES, 3)), looks)
    store.mark_done([0])
    store.finish(seconds=1.0)
    return store


def copied_reference(folder: Path) -> Path:
    """Copy the bundled model's card and reference; the weights are not read with them."""
    _, card = model_paths("bundled")
    shutil.copy(card, folder / "model.json")
    (folder / "model.safetensors").touch()
    path = folder / f"model{OOD_REFERENCE_SUFFIX}"
    shutil.copy(ood_reference_path("bundled"), path)
    return path
