"""Pictures of tiles come several at a time, and one that cannot be read stops no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_smse.errors import DamagedSlideError
from napari_smse.slides import Region, Slide, open_slide
from napari_smse.workflows.scored_slide import PICTURE_PX, TileOnSlide
from napari_smse.workflows.thumbnails import read_thumbnail, read_thumbnails
from support.tasks import run_and_record


def test_the_longer_side_is_about_as_long_as_wanted(slide_path: Path) -> None:
    with open_slide(slide_path) as slide:
        wide = read_thumbnail(slide, Region(0, 0, 512, 256), 64)
        small = read_thumbnail(slide, Region(0, 0, 16, 16), 64)
    assert wide.shape == (32, 64, 3)
    assert small.shape == (16, 16, 3)


def test_what_cannot_be_read_is_left_out(
    slide_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    read = Slide.read

    def fails_at_the_third(slide: Slide, region: Region, mpp: float) -> np.ndarray:
        if region.x == 20:
            raise DamagedSlideError("damaged here")
        return read(slide, region, mpp)

    monkeypatch.setattr(Slide, "read", fails_at_the_third)
    with open_slide(slide_path) as slide:
        tiles = [(n, TileOnSlide(slide, Region(10 * n, 0, 100, 100), 0.5)) for n in range(25)]
        seen, _ = run_and_record(read_thumbnails(tiles))
    batches = [progress.detail for progress in seen]
    assert [len(batch) for batch in batches] == [10, 10, 4]
    assert [key for batch in batches for key, _ in batch] == [n for n in range(25) if n != 2]
    assert all(max(pixels.shape) <= PICTURE_PX + 1 for batch in batches for _, pixels in batch)
    assert "cannot be read" in caplog.text
