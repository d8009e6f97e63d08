"""BACH, the external test of the bundled model."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from napari_smse.datasets.crops import picture_tiles
from napari_smse.models import SmseNetwork
from research.bundled.bach import bach_probabilities


def test_the_external_images_are_unsqueezed_and_covered(tmp_path: Path) -> None:
    for name in ("benign", "invasive"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (96, 96), (200, 150, 180)).save(tmp_path / name / "a.jpg")
    labels, scores = bach_probabilities(SmseNetwork(embedding_dim=8).eval(), tmp_path, mpp=1.2)
    assert labels.tolist() == [0, 1]
    assert ((scores > 0) & (scores < 1)).all()
    # 1536 x 1152 at 0.56 um/px is 1720 x 1290 at 0.5: 7.7 tiles across, 5.8 down.
    tissue = Image.new("RGB", (1536, 1152), (200, 150, 180))
    # The last of eight across and of six down end at the edges.
    assert len(picture_tiles(tissue, 0.56, [0.5])) == 48
