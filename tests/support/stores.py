"""Stores as earlier versions wrote them."""

from __future__ import annotations

import shutil

from napari_smse.scoring import ScoreStore


def forget_appearance(store: ScoreStore) -> None:
    """Take away what the tiles look like, which stores did not hold before version 0.2."""
    for number in range(store.scale_count):
        shutil.rmtree(store.path / f"scale_{number}" / "appearance")
