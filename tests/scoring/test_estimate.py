"""What a run will take, found out without keeping anything."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_smse.errors import DamagedSlideError
from napari_smse.scoring import ScoreRequest, choose_device, estimate, read_block
from napari_smse.slides import Slide, open_slide
from support.models import redness_model
from support.slides import write_pyramid_tiff

DEVICE = choose_device("cpu")


@pytest.fixture
def slide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slide]:
    """Tissue of 1024 x 1024 px beside glass, in sixteen blocks."""
    monkeypatch.setattr("napari_smse.tiles.plan.BLOCK_EDGE", 256)
    path = tmp_path / "slide.tif"
    rgb = np.full((1024, 1280, 3), (240, 240, 240), np.uint8)
    rgb[:, :1024] = (205, 150, 190)
    write_pyramid_tiff(path, rgb, mpp=0.25)
    with open_slide(path) as opened:
        yield opened


def slowly(monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[int]:
    """Let every block take so long to read; gives a list that grows with each."""
    reads: list[int] = []

    def read(slide: Slide, plan: object, block: object) -> object:
        reads.append(1)
        time.sleep(seconds)
        return read_block(slide, plan, block)  # type: ignore[arg-type]

    monkeypatch.setattr("napari_smse.scoring.pipeline.read_block", read)
    return reads


def test_a_small_slide_is_tried_whole(slide: Slide) -> None:
    model = redness_model()
    plan = ScoreRequest((0.25,)).plan(slide, model.card)
    timing = estimate(slide, model, plan, DEVICE)
    assert timing.tiles == plan.tile_count == 256
    assert timing.seconds == pytest.approx(256 / timing.rate)
    assert timing.bottleneck is not None
    # They are told to end, and do so in a moment.
    for thread in threading.enumerate():
        if "read-slide" in thread.name:
            thread.join(timeout=30)
            assert not thread.is_alive()


def test_a_slow_drive_is_named_and_not_all_is_read(
    slide: Slide, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, model = slowly(monkeypatch, 0.2), redness_model()
    plan = ScoreRequest((0.25,)).plan(slide, model.card)
    timing = estimate(slide, model, plan, DEVICE, readers=1, seconds=0.5)
    assert timing.bottleneck == "reading the disk"
    assert len(reads) < len(plan.blocks)
    # Sixteen tiles each 0.2 s, and whatever else this machine does meanwhile.
    assert timing.rate < 1.5 * 16 / 0.2


def test_a_broken_slide_is_told(slide: Slide, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise DamagedSlideError("the file ends early")

    model = redness_model()
    plan = ScoreRequest((0.25,)).plan(slide, model.card)
    monkeypatch.setattr("napari_smse.scoring.pipeline.read_block", broken)
    with pytest.raises(DamagedSlideError, match="ends early"):
        estimate(slide, model, plan, DEVICE)
