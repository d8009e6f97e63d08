"""The shipped sample slide is what its script draws, and its annotations lie on it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import shapely
import tifffile
from numpy.typing import NDArray

from napari_smse.annotations import read_regions


@pytest.fixture(scope="module")
def script(sample_slide: Path) -> Iterator[ModuleType]:
    path = sample_slide.parent / "make_sample_slide.py"
    spec = importlib.util.spec_from_file_location("make_sample_slide", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_sample_slide"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["make_sample_slide"]


@pytest.fixture(scope="module")
def shipped(sample_slide: Path) -> NDArray[np.uint8]:
    return tifffile.imread(sample_slide, key=0)


def test_the_script_draws_what_is_shipped(script: ModuleType, shipped: NDArray[np.uint8]) -> None:
    island = script.ISLANDS[2]  # the one that is quickest to draw
    drawn = script.to_colour(script.draw_island(island)).astype(int)
    x, y = island.origin
    there = shipped[y : y + drawn.shape[0], x : x + drawn.shape[1]].astype(int)
    assert np.abs(there - drawn).mean() < 3  # JPEG
    assert drawn.std() > 10


def test_scale_and_levels_are_stated(sample_slide: Path) -> None:
    with tifffile.TiffFile(sample_slide) as tiff:
        sizes = [(page.imagewidth, page.imagelength) for page in tiff.pages]
        numerator, denominator = tiff.pages[0].tags["XResolution"].value
        unit = tiff.pages[0].tags["ResolutionUnit"].value
    assert sizes == [(6144, 4608), (1536, 1152), (384, 288)]
    assert unit == tifffile.RESUNIT.CENTIMETER
    assert 10_000 * denominator / numerator == pytest.approx(0.25)


def test_the_file_stays_small(sample_slide: Path) -> None:
    assert sample_slide.stat().st_size < 4_000_000


def test_annotations_cover_all_that_was_drawn(
    script: ModuleType, sample_slide: Path, shipped: NDArray[np.uint8]
) -> None:
    regions = read_regions(sample_slide.with_name("sample_annotations.geojson"))
    assert len(regions.geoms) == len(script.ISLANDS) + 1
    dark = shipped[::16, ::16].min(axis=2) < 200
    rows, columns = np.nonzero(dark)
    near = regions.buffer(60)
    inside = shapely.contains_xy(near, columns * 16.0, rows * 16.0)
    assert inside.mean() > 0.995
    assert dark.mean() > 0.1


def test_islands_differ_in_nuclei(script: ModuleType, shipped: NDArray[np.uint8]) -> None:
    """The malignant-like island holds several times the nuclear area of the benign-like one."""
    red = shipped[..., 0]
    share = {}
    for island in script.ISLANDS[:2]:
        part = red[island.y - 600 : island.y + 600, island.x - 600 : island.x + 600]
        share[island.kind] = float((part < 150).mean())
    assert share["Malignant-like"] > 3 * share["Benign-like"] > 0.01
