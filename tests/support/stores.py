"""Stores as earlier versions wrote them."""

from __future__ import annotations

import json
import shutil

from napari_smse.scoring import ScoreStore


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
