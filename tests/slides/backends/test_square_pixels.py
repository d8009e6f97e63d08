"""Pixels that are not square are read as if they were, each thing at its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_smse.slides import Region, open_slide
from napari_smse.slides.backends.base import SlideFacts, levels_from_sizes
from napari_smse.slides.backends.square_pixels import SquarePixels
from support.slides import Image, ramp_image, write_ome_pyramid

SQUARE = ramp_image(240, 240)


def write(path: Path, image: Image, across: float, down: float) -> Path:
    tifffile.imwrite(
        path,
        image,
        photometric="rgb",
        tile=(64, 64),
        resolution=(1e4 / across, 1e4 / down),
        resolutionunit="CENTIMETER",
        metadata=None,
    )
    return path


@pytest.mark.parametrize(
    ("squeezed", "across", "down"),
    [(SQUARE[:, ::2], 0.5, 0.25), (SQUARE[::2], 0.25, 0.5), (SQUARE[::3], 0.25, 0.75)],
    ids=["wide", "high", "three times as high"],
)
def test_the_coarser_side_is_stretched(
    tmp_path: Path, squeezed: Image, across: float, down: float, caplog: pytest.LogCaptureFixture
) -> None:
    with open_slide(write(tmp_path / "a.tif", squeezed, across, down)) as slide:
        assert (slide.width, slide.height, slide.mpp) == (240, 240, 0.25)
        found = slide.read(Region(0, 0, 240, 240), 0.25).astype(int)
        assert np.abs(found - SQUARE.astype(int))[8:-8, 8:-8].max() <= 3
        assert slide.thumbnail(120).shape == (120, 120, 3)
    assert "resampled to square pixels of 0.25" in caplog.text


def test_ome_states_each_side(tmp_path: Path) -> None:
    path = write_ome_pyramid(tmp_path / "a.ome.tif", SQUARE[::2], tile=64)
    xml = tifffile.tiffcomment(path).replace('PhysicalSizeX="0.5"', 'PhysicalSizeX="0.25"')
    tifffile.tiffcomment(path, xml.encode())
    with open_slide(path) as slide:
        assert (slide.width, slide.height, slide.mpp) == (240, 240, 0.25)
        assert [(level.width, level.height) for level in slide.levels][1] == (120, 120)


def test_five_percent_are_no_matter(tmp_path: Path) -> None:
    with open_slide(write(tmp_path / "a.tif", SQUARE, 0.5, 0.52)) as slide:
        assert (slide.width, slide.height) == (240, 240)
        assert slide.mpp == pytest.approx(0.51)


class Pixels:
    """A backend of one level."""

    name = "made up"
    facts = SlideFacts(bounds=Region(10, 20, 30, 40))

    def __init__(self, image: Image) -> None:
        self.image = image
        self.levels = levels_from_sizes([(image.shape[1], image.shape[0])], [(64, 64)])

    def read_level(self, level: int, x: int, y: int, width: int, height: int) -> Image:
        assert 0 <= x < x + width <= self.image.shape[1]
        assert 0 <= y < y + height <= self.image.shape[0]
        return self.image[y : y + height, x : x + width]

    def associated_image(self, name: str) -> Image:
        return self.image

    def close(self) -> None:
        pass


@given(st.floats(0.21, 4.9), st.integers(1, 40), st.integers(1, 40), st.data())
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
def test_a_pixel_is_the_same_in_every_box(
    ratio: float, width: int, height: int, data: st.DataObject
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    backend = SquarePixels(Pixels(image), ratio)
    level = backend.levels[0]
    whole = backend.read_level(0, 0, 0, level.width, level.height)
    x, y = data.draw(st.integers(0, level.width - 1)), data.draw(st.integers(0, level.height - 1))
    right, bottom = (
        data.draw(st.integers(first + 1, side))
        for first, side in ((x, level.width), (y, level.height))
    )
    box = backend.read_level(0, x, y, right - x, bottom - y)
    assert np.array_equal(box, whole[y:bottom, x:right])
    bounds = backend.facts.bounds
    assert bounds is not None
    assert bounds.width == round(30 * max(1, 1 / ratio))
