"""The paper is reproduced on frames, not on copies."""

from __future__ import annotations

from pathlib import Path

from napari_smse.datasets.loading import read_training_set
from research.paper.fold import LOSSES, originals


def test_copies_are_left_out(shared_data: Path) -> None:
    everything = read_training_set(shared_data / "breakhis")
    kept = originals(everything)
    assert 0 < len(kept.images) < len(everything.images)
    assert not any("copy" in image.stratum for image in kept.images)
    assert kept.classes == everything.classes


def test_the_losses_that_the_paper_compares_are_trained() -> None:
    assert LOSSES["none"] == "cross-entropy"
    assert LOSSES.keys() == {"none", "pair", "triplet"}
