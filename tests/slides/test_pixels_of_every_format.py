"""Pixels of every format that can be made are those written, and those other programs read.

With ``-s`` a table of the largest differences is printed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_smse.slides import Region, Slide, open_slide
from support.every_format import FORMATS, Format, images_read_by
from support.slides import Image

_NAMES = {"o": "OpenSlide", "t": "tifffile", "v": "libvips"}
_BOXES = 6


@pytest.mark.parametrize("kind", FORMATS, ids=lambda kind: kind.name)
def test_no_pixel_differs(tmp_path: Path, kind: Format) -> None:
    path, written = kind.write(tmp_path)
    with open_slide(path, mpp=0.5) as slide:
        assert [(level.width, level.height) for level in slide.levels] == [
            level.shape[1::-1] for level in written
        ]
        levels = [slide.read_level(i, 0, 0, *level.shape[1::-1]) for i, level in enumerate(written)]
        found = {"written": _difference(levels, written)}
        regions = max(_regions_differ(slide, i, level) for i, level in enumerate(levels))
        backend = slide.backend_name
    for reader in kind.readers:
        images = images_read_by(reader, path)
        common = [_closest(level, images) for level in levels]
        assert common[0] is not None, f"{_NAMES[reader]} reads no level 0 of {kind.name}"
        found[_NAMES[reader]] = max(value for value in common if value is not None)
    figures = ", ".join(f"{name} {value}" for name, value in found.items())
    print(f"\n{kind.name:28} by {backend:9} {len(levels)} levels: {figures}, regions {regions}")
    assert {*found.values(), regions} == {0}


def _difference(levels: list[Image], others: list[Image]) -> int:
    return max(int(np.abs(a.astype(int) - b).max()) for a, b in zip(levels, others, strict=True))


def _closest(level: Image, images: list[Image]) -> int | None:
    """Return the difference from an image of a level's size, or padded by less than a tile."""
    height, width = level.shape[:2]
    alike = [
        image[:height, :width]
        for image in images
        if 0 <= image.shape[0] - height < 128 and 0 <= image.shape[1] - width < 128
    ]
    return min((_difference([level], [image]) for image in alike), default=None)


def _regions_differ(slide: Slide, index: int, level: Image) -> int:
    """Compare boxes of a level, read as they are and by um/px, with the same part of all of it."""
    rng = np.random.default_rng(index)
    height, width = level.shape[:2]
    step = slide.levels[index].downsample
    assert step == 2**index
    worst = 0
    for _ in range(_BOXES):
        w, h = (int(rng.integers(1, side)) for side in (width, height))
        x, y = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
        region = Region(*(int(side * step) for side in (x, y, w, h)))
        for part in (
            slide.read_level(index, x, y, w, h),
            slide.read(region, slide.mpp * step),
        ):
            worst = max(worst, _difference([part], [level[y : y + h, x : x + w]]))
    return worst
