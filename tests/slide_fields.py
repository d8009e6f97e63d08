"""Fields of slides made up, on a grid."""

from __future__ import annotations

from pathlib import Path

from napari_smse.learning.labelled_set import LabelledImage
from napari_smse.slides import Region

EDGE = 100


def field(x: int, y: int, label: int, slide: str = "a.svs") -> LabelledImage:
    region = Region(x, y, EDGE, EDGE)
    return LabelledImage(Path(slide), label, slide, 0.5, (0.5, 0.6), "s", "s", region=region)


def block(x: int, y: int, label: int, size: int = 2) -> list[LabelledImage]:
    return [field(x + EDGE * i, y + EDGE * j, label) for i in range(size) for j in range(size)]
