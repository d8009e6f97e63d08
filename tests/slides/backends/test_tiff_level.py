"""Sizes that only a header claims are refused before anything is decoded or allocated."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_smse.errors import DamagedSlideError, SlideError
from napari_smse.slides import open_slide
from napari_smse.slides.backends.openslide import OpenSlideBackend
from napari_smse.slides.backends.tiff_level import coded_size
from support.slides import noise_image, write_pyramid_tiff

IMAGE = noise_image(512, 512)
_HUGE = 40_000


@contextmanager
def little_memory() -> Iterator[None]:
    """Arrays together stay below 200 MB, where the headers claim gigabytes."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 200e6
    finally:
        tracemalloc.stop()


def overwrite(path: Path, **tags: int) -> Path:
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for name, value in tags.items():
            tiff.pages.first.tags[name].overwrite(value)
    return path


def replace_size(path: Path, marker: bytes, skip: int, size: bytes) -> Path:
    """Write another size behind each marker."""
    data = bytearray(path.read_bytes())
    place = data.find(marker)
    assert place >= 0
    while place >= 0:
        data[place + skip : place + skip + len(size)] = size
        place = data.find(marker, place + skip)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("tag", ["TileWidth", "TileLength"])
@pytest.mark.parametrize("colours", ["rgb", "grey"])
def test_tiles_beyond_any_memory(tmp_path: Path, tag: str, colours: str) -> None:
    path = tmp_path / "slide.tif"
    pixels = IMAGE if colours == "rgb" else IMAGE[..., 0]
    tifffile.imwrite(path, pixels, tile=(128, 128), compression="zlib", metadata=None)
    overwrite(path, **{tag: 2**31 - 1})
    with pytest.raises(SlideError, match=r"slide\.tif .*2147483647"):
        open_slide(path)


def test_openslide_is_not_let_near_them(tmp_path: Path) -> None:
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, IMAGE, tile=(128, 128), compression="zlib", metadata=None)
    overwrite(path, TileWidth=2**31 - 1)
    with pytest.raises(DamagedSlideError, match=r"slide\.tif .*2147483647 x 128"):
        OpenSlideBackend(path)


def test_a_jpeg_larger_than_its_tile(tmp_path: Path) -> None:
    path = write_pyramid_tiff(tmp_path / "slide.tif", IMAGE, levels=1, compression="jpeg")
    size = _HUGE.to_bytes(2, "big") * 2
    replace_size(path, b"\xff\xc0\x00\x11\x08", 5, size)
    with open_slide(path) as slide, little_memory():
        assert slide.backend_name == "tifffile"
        with pytest.raises(DamagedSlideError, match=r"40000 x 40000 px .*256 x 256"):
            slide.read_level(0, 0, 0, 10, 10)


def test_a_jpeg_2000_larger_than_its_tile(tmp_path: Path) -> None:
    path = write_pyramid_tiff(tmp_path / "slide.tif", IMAGE, levels=1, compression="jpeg2000")
    replace_size(path, b"\xff\x4f\xff\x51", 8, _HUGE.to_bytes(4, "big") * 2)
    refused = pytest.raises(DamagedSlideError, match=r"40000 x 40000 px .*256 x 256")
    with open_slide(path) as slide, little_memory(), refused:
        slide.read_level(0, 0, 0, 10, 10)


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000"])
def test_what_a_segment_says_of_its_size(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, IMAGE, tile=(128, 256), compression=compression, metadata=None)
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        tiff.filehandle.seek(page.dataoffsets[0])
        data = tiff.filehandle.read(page.databytecounts[0])
    assert coded_size(data) == (256, 128)
    assert coded_size(b"\xff\xd8\x00garbage" + data[2:]) in {(256, 128), None}
    assert coded_size(data[:8]) is None


@pytest.mark.parametrize("data", [b"", b"\xff", b"\xff\xd8", b"\xff\xd8\xff\xc0", b"\xff" * 40])
def test_a_segment_that_says_nothing(data: bytes) -> None:
    assert coded_size(data) is None


def test_uncompressed_rows_that_are_not_there(tmp_path: Path) -> None:
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, IMAGE[:16], photometric="rgb", metadata=None)
    overwrite(path, ImageWidth=400_000, ImageLength=100_000_000, RowsPerStrip=100_000_000)
    with little_memory(), pytest.raises(DamagedSlideError, match="is cut short"):
        open_slide(path)


def test_an_associated_image_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "slide.tif"
    with tifffile.TiffWriter(path) as tiff:
        for page in (IMAGE, np.zeros((64, 64, 3), np.uint8)):
            tiff.write(page, photometric="rgb", tile=(64, 64), compression="jpeg", metadata=None)
    with open_slide(path) as slide:
        (name,) = slide.associated_images
        assert slide.associated_image(name).shape == (64, 64, 3)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages[1].tags["SamplesPerPixel"].overwrite(500)
    with open_slide(path) as slide:
        assert slide.associated_images == ()


def test_an_associated_image_that_cannot_be_decoded(tmp_path: Path) -> None:
    path = tmp_path / "slide.tif"
    with tifffile.TiffWriter(path) as tiff:
        for page in (IMAGE, np.zeros((64, 64, 3), np.uint8)):
            tiff.write(page, photometric="rgb", tile=(64, 64), compression="jpeg", metadata=None)
    with tifffile.TiffFile(path) as tiff:
        place = tiff.pages[1].dataoffsets[0]
    with path.open("r+b") as stream:
        stream.seek(place)
        stream.write(b"\0" * 300)
    with open_slide(path) as slide:
        (name,) = slide.associated_images
        with pytest.raises(DamagedSlideError, match=rf"slide\.tif: .*{name}"):
            slide.associated_image(name)
