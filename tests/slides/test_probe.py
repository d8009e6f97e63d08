"""A file that crashes the library that reads it ends a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_smse.errors import DamagedSlideError
from napari_smse.slides import Slide, open_slide
from napari_smse.slides import probe as probe_module
from napari_smse.slides.probe import Probe
from support.shell import Shell, shell, write_section
from support.slides import cut, noise_image, write_pyramid_tiff

__all__ = ["shell"]  # the fixture

CRASHING = """
import os, time
from napari_smse.slides import probe
def look_at(path):
    if "crash" in path.name:
        os.abort()
    if "hang" in path.name:
        time.sleep(60)
    print("a library prints this")
    opened(path)
opened, probe.look_at = probe.look_at, look_at
probe.serve()
"""
"""What a probe runs, with a library that cannot bear some names."""


@pytest.fixture(scope="module")
def crashing() -> Iterator[Probe]:
    made = Probe([sys.executable, "-c", CRASHING], time_limit=20)
    yield made
    made.close()


def test_only_what_ends_the_process_is_refused(tmp_path: Path, crashing: Probe) -> None:
    good = write_pyramid_tiff(tmp_path / "good.tif", noise_image(300, 200))
    bad = write_pyramid_tiff(tmp_path / "crash.tif", noise_image(300, 200))
    damaged = cut(write_pyramid_tiff(tmp_path / "cut.tif", noise_image(300, 200)), 300)
    crashing.require_openable(good)
    first = crashing._process
    with pytest.raises(DamagedSlideError, match=r"^crash.tif makes the library .* crash .*copy it"):
        crashing.require_openable(bad)
    for path in (damaged, tmp_path / "gone.tif", good):  # opening these names what is wrong
        crashing.require_openable(path)
    assert crashing._process is not first
    assert crashing._process is not None
    second = crashing._process
    with pytest.raises(DamagedSlideError, match="crash"):
        crashing.require_openable(bad)
    assert crashing._process is second  # it was known already


def test_what_does_not_come_back_is_ended(tmp_path: Path, crashing: Probe) -> None:
    crashing.require_openable(tmp_path / "starts it.tif")
    crashing._time_limit, before = 0.5, crashing._time_limit
    try:
        with pytest.raises(DamagedSlideError, match="not opened within"):
            crashing.require_openable(tmp_path / "hang.tif")
    finally:
        crashing._time_limit = before


def test_the_middle_of_each_level_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_pyramid_tiff(tmp_path / "a.tif", noise_image(1024, 512))
    with open_slide(path) as slide:
        middles = [(i, one.width // 2, one.height // 2) for i, one in enumerate(slide.levels)]
    read: list[tuple[int, ...]] = []
    reading = Slide.read_level

    def noted(slide: Slide, level: int, x: int, y: int, *size: int) -> NDArray[np.uint8]:
        read.append((level, x, y))
        return reading(slide, level, x, y, *size)

    monkeypatch.setattr(Slide, "read_level", noted)
    probe_module.look_at(path)
    assert sorted(read) == middles
    assert len(middles) > 1


@pytest.mark.parametrize("command", [["/no/such/program"], [sys.executable, "-c", "1 / 0"]])
def test_without_a_process_files_are_opened_as_ever(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, command: list[str]
) -> None:
    broken = Probe(command)
    for name in ("a", "b"):
        broken.require_openable(tmp_path / f"{name}.tif")
    assert caplog.text.count("without a trial") == 1


@pytest.mark.parametrize("command", ["score", "index", "estimate"])
def test_a_crash_stops_no_other_slide_of_a_batch(
    tmp_path: Path,
    shell: Shell,
    monkeypatch: pytest.MonkeyPatch,
    crashing: Probe,
    command: str,
) -> None:
    monkeypatch.setattr(probe_module, "_probe", crashing)
    for place in ("cli.index", "cli.estimate"):
        monkeypatch.setattr(f"napari_smse.{place}.read_card", lambda _: shell.model.card)
    for name in ("a", "crash", "z"):
        write_section(tmp_path / "in" / f"{name}.tif")
    words = {
        "score": ("--out", tmp_path / "out"),
        "index": ("--out", tmp_path / "index"),
        "estimate": ("--float32",),
    }[command]
    answer = shell(command, tmp_path / "in", *words)
    assert answer.status == 1
    [line] = [line for line in answer.err.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: crash.tif makes the library that reads it crash")
    assert "a.tif: " in answer.out
    assert "z.tif: " in answer.out
