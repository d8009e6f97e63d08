"""Levels that show something else than their step says are left out; true ones never are."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow
from scipy import ndimage

from napari_smse.slides import Level, Region, open_slide
from napari_smse.slides.backends.checked_levels import is_doubtful, shows_the_same
from napari_smse.slides.backends.tifffile import TifffileBackend
from support.slides import Image, halved, noise_image, pyramid

SLIDES = ["cmu1_pyramid.ome.tif", "cmu1_pyramid_generic.tif", "fluorescence-dapi.ndpi"]


def tissue(width: int = 1400, height: int = 1000) -> Image:
    """Blobs of several sizes on white, as tissue has them."""
    noise = noise_image(width, height, seed=4).astype(np.float32)
    blobs = sum(ndimage.gaussian_filter(noise, (sigma, sigma, 0)) for sigma in (2, 6))
    blobs = (blobs - blobs.mean()) / blobs.std()
    return np.clip(170 + 40 * blobs, 0, 255).astype(np.uint8)


def write(path: Path, *levels: Image) -> Path:
    with tifffile.TiffWriter(path) as tiff:
        for index, level in enumerate(levels):
            tiff.write(
                level,
                photometric="rgb",
                tile=(64, 64),
                compression="zlib",
                subfiletype=1 if index else 0,
                metadata=None,
            )
    return path


def resized(image: Image, width: int, height: int) -> Image:
    return np.asarray(Pillow.fromarray(image).resize((width, height), Pillow.Resampling.BOX))


def cropped(level: Image) -> Image:
    return level[10:, 25:]


def padded(level: Image) -> Image:
    return np.pad(level, ((0, 140), (0, 40), (0, 0)), constant_values=255)


def shifted(level: Image) -> Image:
    return np.pad(level, ((12, 0), (9, 0), (0, 0)), constant_values=255)


def wrongly_sized(level: Image) -> Image:
    return resized(level, level.shape[1], round(level.shape[0] * 0.9))


def of_another_slide(level: Image) -> Image:
    return halved(tissue()[::-1])[:-3, :-9]


@pytest.mark.parametrize("spoil", [cropped, padded, shifted, wrongly_sized, of_another_slide])
def test_a_level_that_lies_elsewhere_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Image], Image]
) -> None:
    full, half, quarter = pyramid(tissue(), 3)
    path = write(tmp_path / "slide.tif", full, spoil(half), quarter)
    with caplog.at_level(logging.WARNING), open_slide(path, mpp=0.5) as slide:
        assert [(level.width, level.downsample) for level in slide.levels] == [(1400, 1), (350, 4)]
        found = slide.read(Region(200, 160, 600, 400), 1.0)
        assert np.abs(found.astype(int) - half[80:280, 100:400]).max() <= 12
    assert "slide.tif: level 1 (" in caplog.text
    assert "level 0 shows" in caplog.text


@pytest.mark.parametrize("size", [(560, 400), (561, 401), (933, 666), (1399, 999), (40, 29)])
@pytest.mark.parametrize("nearest", [True, False])
def test_a_true_level_of_an_odd_size_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, size: tuple[int, int], nearest: bool
) -> None:
    full = tissue()
    method = Pillow.Resampling.NEAREST if nearest else Pillow.Resampling.LANCZOS
    level = np.asarray(Pillow.fromarray(full).resize(size, method))
    with open_slide(write(tmp_path / "slide.tif", full, level)) as slide:
        assert [level.width for level in slide.levels] == [1400, size[0]]
    assert "left out" not in caplog.text


def test_where_there_is_nothing_to_see_a_level_is_believed(tmp_path: Path) -> None:
    blank = np.full((1000, 1400, 3), 245, np.uint8)
    with open_slide(write(tmp_path / "slide.tif", blank, blank[:450, :690])) as slide:
        assert len(slide.levels) == 2


def test_a_damaged_tile_says_nothing_of_the_others(tmp_path: Path) -> None:
    full = tissue()
    path = write(tmp_path / "slide.tif", full, resized(full, 561, 401))
    with tifffile.TiffFile(path) as tiff:
        start = tiff.pages[1].dataoffsets[8]
    with path.open("r+b") as file:
        file.seek(start)
        file.write(bytes(64))
    with open_slide(path) as slide:
        assert len(slide.levels) == 2


@pytest.mark.parametrize(
    ("width", "height", "step", "doubtful"),
    [
        (500, 250, 2.0, False),
        (501, 251, 2.0, False),
        (502, 251, 2.0, True),
        (334, 167, 3.0, False),
        (400, 200, 2.5, True),
        (500, 260, 2.0, True),
    ],
)
def test_what_leaves_a_doubt(width: int, height: int, step: float, doubtful: bool) -> None:
    full = Level(1001, 501, 1.0, 256, 256)
    assert is_doubtful(full, Level(width, height, step, 256, 256)) is doubtful


def test_a_shift_that_no_size_betrays_would_be_seen(tmp_path: Path) -> None:
    full, half = pyramid(tissue(), 2)
    for shift, same in ((0, True), (1, True), (5, False), (60, False)):
        backend = TifffileBackend(
            write(tmp_path / f"{shift}.tif", full, np.roll(half, shift, axis=1))
        )
        assert shows_the_same(backend, 0, 1) is same
        backend.close()


@pytest.mark.parametrize("name", SLIDES)
def test_no_level_of_a_real_slide_is_doubted(shared_data: Path, name: str) -> None:
    with open_slide(shared_data / "slides" / name) as slide:
        backend = slide._backend
        assert not any(is_doubtful(slide.levels[0], level) for level in slide.levels)
        for index in range(1, len(slide.levels)):
            assert shows_the_same(backend, index - 1, index)


def test_nor_one_of_the_sample(sample_slide: Path) -> None:
    with open_slide(sample_slide) as slide:
        for index in range(1, len(slide.levels)):
            assert shows_the_same(slide._backend, index - 1, index)
