"""Levels that are shown before they are there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_smse.slides import Slide, open_slide
from napari_smse.slides.progressive_pyramid import ChunkFetcher, progressive_pyramid
from napari_smse.slides.pyramid import LevelArray, pyramid_arrays
from support.slides import ramp_image, write_pyramid_tiff

SIDE = 2048


class Gate:
    """Lets reads of finer levels pass only while it is open."""

    def __init__(self, slide: Slide, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open, self.fetched = threading.Event(), threading.Event()
        self.problems: list[Exception] = []
        self.failing = False
        read = slide.read_level

        def gated(level: int, *box: int) -> object:
            if level < 2:
                assert self.open.wait(20)
                if self.failing:
                    raise OSError("gone")
            return read(level, *box)

        monkeypatch.setattr(slide, "read_level", gated)
        self.levels = progressive_pyramid(slide, self._hear)

    def _hear(self, problem: Exception | None) -> None:
        if problem is not None:
            self.problems.append(problem)
        self.fetched.set()

    def wait_for(self, level: LevelArray, box: tuple[int, int, int, int]) -> None:
        while level.cached_box(*box) is None:
            assert self.fetched.wait(20)
            self.fetched.clear()


@pytest.fixture
def slide(tmp_path: Path) -> Iterator[Slide]:
    with open_slide(write_pyramid_tiff(tmp_path / "a.tif", ramp_image(SIDE, SIDE))) as slide:
        yield slide


def test_what_is_not_there_is_shown_coarser_at_once_and_exactly_later(
    slide: Slide, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = pyramid_arrays(slide)[0][300:900, 500:1200]
    gate = Gate(slide, monkeypatch)
    level = gate.levels[0]
    shown = level[300:900, 500:1200]  # which does not wait for the gate
    assert shown.shape == exact.shape
    difference = np.abs(shown.astype(int) - exact)
    assert 0 < difference.max() <= 2  # a smooth ramp
    gate.open.set()
    gate.wait_for(level, (500, 300, 700, 600))
    assert np.array_equal(level[300:900, 500:1200], exact)


def test_a_finer_stand_in_goes_before_a_coarser_one(
    slide: Slide, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(slide, monkeypatch)
    gate.open.set()
    middle = gate.levels[1].read_box(0, 0, SIDE // 2, SIDE // 2)
    gate.open.clear()
    shown = gate.levels[0][:512, :512]
    assert np.array_equal(shown, middle[:256, :256].repeat(2, axis=0).repeat(2, axis=1))
    gate.open.set()


def test_boxes_and_whole_arrays_wait_and_are_exact(
    slide: Slide, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = pyramid_arrays(slide)
    gate = Gate(slide, monkeypatch)
    gate.open.set()
    for level, one in zip(gate.levels, plain, strict=True):
        assert (level.shape, level.chunks, level.downsample) == (
            one.shape,
            one.chunks,
            one.downsample,
        )
        assert np.array_equal(np.asarray(level), np.asarray(one))
    with pytest.raises(ValueError, match="without a copy"):
        np.asarray(gate.levels[0], copy=False)


def test_what_cannot_be_read_is_said_and_not_asked_for_again_at_once(
    slide: Slide, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(slide, monkeypatch)
    gate.failing = True
    gate.open.set()
    first = gate.levels[0][:10, :10]
    assert gate.fetched.wait(20)
    assert [str(problem) for problem in gate.problems] == ["gone"]
    assert np.array_equal(gate.levels[0][:10, :10], first)
    assert len(gate.problems) == 1


def test_what_was_asked_for_last_is_read_first(monkeypatch: pytest.MonkeyPatch) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from napari_smse.slides import progressive_pyramid as module

    go, seen, done = threading.Event(), list[tuple[int, int]](), threading.Semaphore(0)

    def read(*place: int) -> None:
        assert go.wait(20)
        seen.append(place)  # type: ignore[arg-type]

    with ThreadPoolExecutor(1) as one:
        monkeypatch.setattr(module, "_threads", lambda: one)
        fetcher = ChunkFetcher(lambda _problem: done.release())
        for left in (0, 1, 2, 3, 1):
            fetcher.want((0, left, 0), read)
        go.set()
        for _ in range(4):
            assert done.acquire(timeout=20)
    assert sorted(seen) == [(0, 0), (1, 0), (2, 0), (3, 0)]
    assert seen[-1] == (0, 0) or seen[0] == (0, 0)  # it was taken first, or waited longest
