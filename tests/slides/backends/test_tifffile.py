from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
import tifffile

from napari_smse.errors import DamagedSlideError, NotASlideError
from napari_smse.slides import open_slide
from napari_smse.slides.backends.tifffile import TifffileBackend
from support.slides import noise_image, write_ome_pyramid, write_pyramid_tiff, write_svs

IMAGE = noise_image(333, 270, seed=5)
GREY = np.ascontiguousarray(IMAGE[..., 0])


def _read_all(path: Path) -> np.ndarray:
    backend = TifffileBackend(path)
    level = backend.levels[0]
    pixels = backend.read_level(0, 0, 0, level.width, level.height)
    assert (backend.read_level(0, 100, 90, 77, 66) == pixels[90:156, 100:177]).all()
    backend.close()
    return pixels


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "zstd", "packbits"])
@pytest.mark.parametrize("layout", [{"tile": (64, 96)}, {"rowsperstrip": 7}, {}])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_lossless_layouts(
    tmp_path: Path, compression: str | None, layout: dict[str, Any], planar: str
) -> None:
    path = tmp_path / "slide.tif"
    pixels = IMAGE if planar == "contig" else np.moveaxis(IMAGE, -1, 0)
    tifffile.imwrite(
        path, pixels, photometric="rgb", planarconfig=planar, compression=compression, **layout
    )
    assert (_read_all(path) == IMAGE).all()


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [True, False])
def test_predictor_byteorder_and_bigtiff(
    tmp_path: Path, compression: str | None, byteorder: Any, bigtiff: bool
) -> None:
    path = tmp_path / "slide.tif"
    tifffile.imwrite(
        path,
        IMAGE,
        photometric="rgb",
        compression=compression,
        predictor=compression is not None,
        byteorder=byteorder,
        bigtiff=bigtiff,
    )
    assert (_read_all(path) == IMAGE).all()


def test_grey_becomes_rgb_and_min_is_white_is_turned(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "grey.tif", GREY)
    assert (_read_all(tmp_path / "grey.tif") == GREY[..., np.newaxis]).all()
    tifffile.imwrite(tmp_path / "white.tif", GREY, photometric="miniswhite", compression="zlib")
    assert (_read_all(tmp_path / "white.tif") == 255 - GREY[..., np.newaxis]).all()


def test_alpha_is_laid_on_white(tmp_path: Path) -> None:
    alpha = np.zeros_like(GREY)
    alpha[:, 100:] = 255
    alpha[:, 50:100] = 128
    rgba = np.dstack([IMAGE, alpha])
    tifffile.imwrite(tmp_path / "a.tif", rgba, photometric="rgb", extrasamples=["unassalpha"])
    found = _read_all(tmp_path / "a.tif").astype(int)
    assert (found[:, 100:] == IMAGE[:, 100:]).all()
    assert (found[:, :50] == 255).all()
    assert np.abs(found[:, 50:100] - (IMAGE[:, 50:100] * (128 / 255) + 127)).max() <= 1


def test_three_pages_are_three_colours(tmp_path: Path) -> None:
    path = tmp_path / "planes.ome.tif"
    planes = np.moveaxis(IMAGE, -1, 0)
    tifffile.imwrite(
        path, planes, photometric="minisblack", metadata={"axes": "CYX"}, tile=(64, 64)
    )
    with open_slide(path) as slide:
        assert (slide.read_level(0, 0, 0, 333, 270) == IMAGE).all()


@pytest.mark.parametrize("subsampling", [(1, 1), (2, 2)])
@pytest.mark.parametrize("layout", [{"tile": (64, 64)}, {"rowsperstrip": 16}])
def test_jpeg_is_decoded_as_tifffile_does(
    tmp_path: Path, subsampling: tuple[int, int], layout: dict[str, Any]
) -> None:
    path = tmp_path / "slide.tif"
    tifffile.imwrite(
        path,
        IMAGE,
        photometric="ycbcr",
        compression="jpeg",
        subsampling=subsampling,
        compressionargs={"level": 90},
        **layout,
    )
    assert (_read_all(path) == tifffile.imread(path)).all()


def test_svs_pixels_are_openslides(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "slide.svs", IMAGE, tile=64)
    with openslide.OpenSlide(path) as peer:
        expected = np.asarray(peer.read_region((0, 0), 0, (333, 270)))[..., :3].astype(int)
    assert np.abs(_read_all(path) - expected).max() <= 1


def test_tiles_not_stored_are_background(tmp_path: Path) -> None:
    path = write_ome_pyramid(tmp_path / "slide.ome.tif", IMAGE, levels=1, tile=64)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        counts = list(tiff.pages[0].tags["TileByteCounts"].value)
        counts[1] = 0
        tiff.pages[0].tags["TileByteCounts"].overwrite(counts)
    found = TifffileBackend(path).read_level(0, 0, 0, 333, 270)
    expected = IMAGE.copy()
    expected[:64, 64:128] = 255
    assert (found == expected).all()


def test_other_pictures_are_found_by_name(tmp_path: Path) -> None:
    path = tmp_path / "slide.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tiff:
        tiff.write(IMAGE[:50, :40], photometric="rgb", metadata={"Name": "Label"})
        tiff.write(IMAGE, photometric="rgb", tile=(64, 64), metadata={"Name": "Scan"})
    with open_slide(path) as slide:
        assert (slide.width, slide.height) == (333, 270)
        assert slide.associated_images == ("label",)
        assert (slide.associated_image("label") == IMAGE[:50, :40]).all()


def test_it_works_where_files_cannot_be_read_at_a_position(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_pyramid_tiff(tmp_path / "slide.tif", IMAGE, tile=64)
    monkeypatch.delattr(os, "pread", raising=False)
    assert (_read_all(path) == IMAGE).all()


def test_a_file_that_shrinks_while_open_is_damaged(tmp_path: Path) -> None:
    path = write_pyramid_tiff(tmp_path / "slide.tif", IMAGE, tile=64, levels=1)
    backend = TifffileBackend(path)
    os.truncate(path, path.stat().st_size // 3)
    with pytest.raises(DamagedSlideError, match="ends inside a tile"):
        backend.read_level(0, 0, 0, 333, 270)


def test_a_page_that_lists_too_few_tiles_is_damaged(tmp_path: Path) -> None:
    path = write_pyramid_tiff(tmp_path / "slide.tif", IMAGE, tile=64, levels=1)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages[0].tags["TileOffsets"].overwrite(tiff.pages[0].dataoffsets[:5])
    with pytest.raises(DamagedSlideError):
        TifffileBackend(path)


def test_four_channels_are_not_rgb(tmp_path: Path) -> None:
    path = tmp_path / "channels.ome.tif"
    stack = np.zeros((4, 64, 64), np.uint8)
    tifffile.imwrite(path, stack, photometric="minisblack", metadata={"axes": "CYX"})
    with pytest.raises(NotASlideError, match="4 channels"):
        TifffileBackend(path)


def test_a_set_of_files_that_lacks_one_is_damaged(tmp_path: Path) -> None:
    planes = np.moveaxis(IMAGE, -1, 0)
    for index, plane in enumerate(planes):
        tifffile.imwrite(tmp_path / f"{index}.ome.tif", plane, metadata={"axes": "YX"})
    data = "".join(
        f'<TiffData FirstC="{index}" IFD="0" PlaneCount="1">'
        f'<UUID FileName="{index}.ome.tif">urn:uuid:0000000{index}-0000-0000-0000-000000000000'
        "</UUID></TiffData>"
        for index in range(3)
    )
    xml = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        'UUID="urn:uuid:00000000-0000-0000-0000-000000000000"><Image ID="Image:0">'
        '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="333" SizeY="270" '
        f'SizeC="3" SizeZ="1" SizeT="1">{data}</Pixels></Image></OME>'
    )
    tifffile.tiffcomment(tmp_path / "0.ome.tif", xml.encode())
    with open_slide(tmp_path / "0.ome.tif") as slide:
        assert (slide.read_level(0, 0, 0, 333, 270) == IMAGE).all()
    (tmp_path / "2.ome.tif").unlink()
    with pytest.raises(DamagedSlideError, match="not there"):
        open_slide(tmp_path / "0.ome.tif")
