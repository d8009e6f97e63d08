from __future__ import annotations

from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image

from napari_smse.errors import DamagedSlideError, NotASlideError, SlideError, SlideNotFoundError
from napari_smse.slides import SLIDE_SUFFIXES, may_be_slide, open_slide
from napari_smse.slides.backends.openslide import OpenSlideBackend
from napari_smse.slides.backends.tifffile import TifffileBackend
from support.slides import (
    APERIO,
    cut,
    noise_image,
    pyramid,
    write_ome_pyramid,
    write_pyramid_tiff,
    write_svs,
)

IMAGE = noise_image(500, 400)


def test_plain_tiled_pyramid_is_decoded_from_its_tiles(tmp_path: Path) -> None:
    with open_slide(write_pyramid_tiff(tmp_path / "slide.tif", IMAGE)) as slide:
        assert slide.backend_name == "tifffile"
        assert [level.downsample for level in slide.levels] == [1.0, 2.0, 4.0]
        assert "openslide.quickhash-1" in slide.properties


def test_ome_pyramid_has_all_levels(tmp_path: Path) -> None:
    path = write_ome_pyramid(tmp_path / "slide.ome.tif", IMAGE)
    with openslide.OpenSlide(path) as peer:
        assert peer.level_count == 1
    with open_slide(path) as slide:
        assert (slide.backend_name, len(slide.levels), slide.vendor) == ("tifffile", 3, "ome-tiff")


@pytest.mark.parametrize("missing", [0, 3])
def test_svs_with_tiles_not_stored_goes_through_openslide(tmp_path: Path, missing: int) -> None:
    path = write_svs(tmp_path / "slide.svs", IMAGE)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        counts = list(tiff.pages[0].tags["TileByteCounts"].value)
        counts[missing] = 0
        tiff.pages[0].tags["TileByteCounts"].overwrite(counts)
    with open_slide(path) as slide:
        assert slide.backend_name == "openslide"
        assert slide.read_level(0, 0, 0, 500, 400).shape == (400, 500, 3)


def test_svs_in_jpeg_2000_of_its_own_colours_goes_through_openslide(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "slide.svs", IMAGE, compression="APERIO_JP2000_YCBC")
    with open_slide(path) as slide:
        assert slide.backend_name == "openslide"
        assert slide.scale.mpp == pytest.approx(0.499)


def test_svs_in_jpeg_2000_keeps_its_pixels_where_a_step_is_not_whole(tmp_path: Path) -> None:
    """OpenSlide shifts a level by parts of a pixel there, and blurs it."""
    levels = pyramid(noise_image(2403, 301), 2)
    path = tmp_path / "slide.svs"
    tiled = {
        "tile": (256, 256),
        "compression": "APERIO_JP2000_RGB",
        "compressionargs": {"level": 0, "reversible": True},
    }
    described = APERIO.format(width=2403, height=301, mpp="0.5")
    with tifffile.TiffWriter(path) as tiff:
        for page, options in ((levels[0], tiled), (levels[1][:50], {}), (levels[1], tiled)):
            tiff.write(page, photometric="rgb", description=described, metadata=None, **options)
    with openslide.OpenSlide(path) as peer:
        assert peer.level_downsamples[1] != 2
        whole = np.asarray(peer.read_region((0, 0), 0, (2403, 301)).convert("RGB"))
    with open_slide(path) as slide:
        assert (slide.vendor, slide.scale.mpp) == ("aperio", 0.5)
        assert (slide.read_level(0, 0, 0, 2403, 301) == whole).all()
        assert (slide.read_level(1, 0, 0, 1201, 150) == levels[1]).all()


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SlideNotFoundError, match="no file"):
        open_slide(tmp_path / "gone.svs")


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.svs").touch()
    with pytest.raises(NotASlideError, match=r"empty\.svs is empty"):
        open_slide(tmp_path / "empty.svs")


def test_text_is_no_slide(tmp_path: Path) -> None:
    (tmp_path / "notes.svs").write_text("not a slide at all, " * 50)
    with pytest.raises(NotASlideError, match=r"notes\.svs is no image"):
        open_slide(tmp_path / "notes.svs")


def test_folder_without_slide(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(NotASlideError, match="holds no DICOM slide"):
        open_slide(tmp_path)


def test_mirax_without_its_folder(tmp_path: Path) -> None:
    Image.fromarray(IMAGE).save(tmp_path / "scan.mrxs", format="JPEG")
    with pytest.raises(DamagedSlideError, match="folder scan "):
        open_slide(tmp_path / "scan.mrxs")


def test_permission_denied_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_svs(tmp_path / "slide.svs", IMAGE)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SlideError, match="permission"):
        open_slide(path)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["generic", "svs", "png", "jpg"])
def test_truncated_files_are_damaged(tmp_path: Path, kind: str, share: float) -> None:
    if kind == "generic":
        path = write_pyramid_tiff(tmp_path / "slide.tif", IMAGE)
    elif kind == "svs":
        path = write_svs(tmp_path / "slide.svs", IMAGE)
    else:
        path = tmp_path / f"picture.{kind}"
        Image.fromarray(IMAGE).save(path)
    cut(path, int(path.stat().st_size * share))
    with pytest.raises(DamagedSlideError, match="copy it again"):
        open_slide(path)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.95])
def test_truncated_ome_pyramid_is_damaged(tmp_path: Path, share: float) -> None:
    path = write_ome_pyramid(tmp_path / "slide.ome.tif", IMAGE)
    cut(path, int(path.stat().st_size * share))
    with pytest.raises(DamagedSlideError):
        open_slide(path)


@pytest.mark.parametrize("keep", [9, 20])
def test_header_only(tmp_path: Path, keep: int) -> None:
    for path in (write_svs(tmp_path / "slide.svs", IMAGE), tmp_path / "picture.png"):
        if path.suffix == ".png":
            Image.fromarray(IMAGE).save(path)
        with pytest.raises(DamagedSlideError):
            open_slide(cut(path, keep))


def test_tile_that_cannot_be_decoded(tmp_path: Path) -> None:
    path = write_pyramid_tiff(tmp_path / "slide.tif", IMAGE, levels=1)
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[0].dataoffsets[1]
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(b"\xff" * 64)
    with open_slide(path) as slide:
        assert (slide.read_level(0, 0, 0, 256, 256) == IMAGE[:256, :256]).all()
        with pytest.raises(DamagedSlideError, match="row 0, column 1 of level 0"):
            slide.read_level(0, 200, 0, 256, 256)
        assert (slide.read_level(0, 0, 256, 256, 144) == IMAGE[256:, :256]).all()


def test_openslide_reads_on_after_a_damaged_tile(tmp_path: Path) -> None:
    path = write_pyramid_tiff(tmp_path / "slide.tif", IMAGE, levels=1)
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[0].dataoffsets[1]
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(b"\xff" * 64)
    backend = OpenSlideBackend(path)
    with pytest.raises(DamagedSlideError, match=r"slide\.tif"):
        backend.read_level(0, 300, 0, 50, 50)
    assert (backend.read_level(0, 0, 0, 200, 200) == IMAGE[:200, :200]).all()
    backend.close()


@pytest.mark.parametrize("backend", [OpenSlideBackend, TifffileBackend])
def test_reading_a_closed_slide_is_told(tmp_path: Path, backend: type) -> None:
    opened = backend(write_pyramid_tiff(tmp_path / "slide.tif", IMAGE))
    opened.close()
    opened.close()
    with pytest.raises(SlideError, match="was closed"):
        opened.read_level(0, 0, 0, 10, 10)


def test_a_drive_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_svs(tmp_path / "slide.svs", IMAGE)

    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(DamagedSlideError, match="Input/output error"):
        open_slide(path)


def test_a_relative_path_holds_after_the_folder_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_svs(tmp_path / "slide.svs", IMAGE)
    monkeypatch.chdir(tmp_path)
    with open_slide("slide.svs") as slide:
        monkeypatch.chdir(tmp_path.parent)
        assert slide.path == tmp_path / "slide.svs"
        assert slide.quick_hash


@pytest.mark.parametrize(
    ("pixels", "options", "reason"),
    [
        (np.zeros((64, 64, 3), np.uint16), {"photometric": "rgb"}, "uint16 pixels"),
        (np.zeros((64, 64), np.float32), {}, "float32 pixels"),
        (np.zeros((5, 64, 64), np.uint8), {"photometric": "minisblack"}, "5|stack"),
    ],
)
def test_not_8_bit_rgb_is_told(
    tmp_path: Path, pixels: np.ndarray, options: dict[str, str], reason: str
) -> None:
    tifffile.imwrite(tmp_path / "deep.tif", pixels, **options)
    with pytest.raises(NotASlideError, match=reason):
        open_slide(tmp_path / "deep.tif")


def test_one_pixel(tmp_path: Path) -> None:
    pixel = np.array([[[10, 20, 30]]], np.uint8)
    tifffile.imwrite(tmp_path / "one.tif", pixel, photometric="rgb")
    Image.fromarray(pixel).save(tmp_path / "one.png")
    for name in ("one.tif", "one.png"):
        with open_slide(tmp_path / name) as slide:
            assert (slide.width, slide.height) == (1, 1)
            assert (slide.read_level(0, 0, 0, 1, 1) == pixel).all()
            assert slide.thumbnail().shape == (1, 1, 3)


def test_looks_like_slide(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "SLIDE.SVS", IMAGE)
    assert may_be_slide(path)
    assert may_be_slide(str(path))
    assert not may_be_slide(tmp_path)
    assert not may_be_slide(tmp_path / "gone.svs")
    (tmp_path / "table.csv").write_text("a,b")
    assert not may_be_slide(tmp_path / "table.csv")
    (tmp_path / "scan").mkdir()
    (tmp_path / "scan" / "0001").write_bytes(b"\0" * 128 + b"DICM")
    assert may_be_slide(tmp_path / "scan")


@pytest.mark.parametrize("nonsense", [None, 3, "", "\0", "x" * 5000])
def test_looks_like_slide_never_raises(nonsense: object) -> None:
    assert may_be_slide(nonsense) is False  # type: ignore[arg-type]


def test_suffixes_are_lower_case() -> None:
    assert {".svs", ".ndpi", ".mrxs", ".tif", ".png"} <= SLIDE_SUFFIXES
    assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in SLIDE_SUFFIXES)
