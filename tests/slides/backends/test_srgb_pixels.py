"""The ICC profile of a slide converts its pixels as Pillow converts a whole picture."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Picture
from PIL import ImageCms

from napari_smse.errors import ColourProfileError
from napari_smse.slides import Region, Slide, open_slide
from napari_smse.slides.backends.srgb_pixels import describe_profile
from support.dicom_slides import write_dicom_level
from support.icc_profiles import wide_profile
from support.slides import Image, coordinate_image, noise_image, write_pyramid_tiff

IMAGE = noise_image(300, 260)
PROFILE = wide_profile("scanner 7")
Write = Callable[[Path, bytes | None], Path]


def converted(image: Image, profile: bytes = PROFILE) -> Image:
    """A whole picture, converted at once."""
    picture = ImageCms.profileToProfile(
        Picture.fromarray(image),
        ImageCms.getOpenProfile(BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    assert picture is not None
    return np.asarray(picture)


def write_tiff(path: Path, profile: bytes | None, image: Image = IMAGE) -> Path:
    return write_pyramid_tiff(path, image, tile=64, iccprofile=profile)


def write_png(path: Path, profile: bytes | None) -> Path:
    path = path.with_suffix(".png")
    Picture.fromarray(IMAGE).save(path, icc_profile=profile)
    return path


def write_dicom(path: Path, profile: bytes | None) -> Path:
    profile = b"" if profile is None else profile
    return write_dicom_level(path.with_suffix(".dcm"), IMAGE, "1", icc_profile=profile)


def level_0(slide: Slide) -> Image:
    return slide.read_level(0, 0, 0, slide.width, slide.height)


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Slide:
    return open_slide(write_tiff(tmp_path_factory.mktemp("icc") / "slide.tif", PROFILE))


@pytest.mark.parametrize("write", [write_tiff, write_png, write_dicom])
def test_level_0_is_converted_as_a_whole_picture_is(write: Write, tmp_path: Path) -> None:
    with open_slide(write(tmp_path / "slide.tif", PROFILE), mpp=0.5) as opened:
        assert describe_profile(opened.icc_profile) == "scanner 7"
        changed = level_0(opened.with_icc())
        assert np.array_equal(changed, converted(IMAGE))
        assert np.array_equal(level_0(opened), IMAGE)
        assert np.abs(changed.astype(int) - IMAGE).max() > 20


def test_an_aperio_slide_read_by_openslide_has_its_profile(tmp_path: Path) -> None:
    path = write_pyramid_tiff(
        tmp_path / "a.svs",
        IMAGE,
        levels=1,
        tile=64,
        compression="jpeg",
        description="Aperio Image Library v11\r\n300x260 (64x64) JPEG/RGB|AppMag = 20|MPP = 0.5",
        iccprofile=PROFILE,
    )
    with open_slide(path) as opened:
        assert opened.vendor == "aperio"
        assert opened.icc_profile == PROFILE
        assert np.array_equal(level_0(opened.with_icc()), converted(level_0(opened)))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(-40, 250), st.integers(-40, 200), st.integers(1, 120), st.integers(1, 120))
def test_any_box_is_that_of_the_whole(
    slide: Slide, x: int, y: int, width: int, height: int
) -> None:
    found = slide.with_icc().read_level(0, x, y, width, height)
    assert np.array_equal(found, converted(slide.read_level(0, x, y, width, height)))


def test_many_threads_read_the_same(slide: Slide) -> None:
    expected = converted(IMAGE)
    boxes = [(x, y) for y in range(0, 192, 16) for x in range(0, 192, 16)] * 3
    with ThreadPoolExecutor(8) as pool:
        tiles = pool.map(lambda at: slide.with_icc().read_level(0, *at, 64, 64), boxes)
        for (x, y), tile in zip(boxes, tiles, strict=True):
            assert np.array_equal(tile, expected[y : y + 64, x : x + 64])


def test_the_same_slide_is_returned_and_keeps_its_scale(slide: Slide) -> None:
    changed = slide.with_icc()
    assert changed is slide.with_icc() is changed.with_icc()
    assert (changed.mpp, changed.levels, changed.quick_hash) == (
        slide.mpp,
        slide.levels,
        slide.quick_hash,
    )
    assert changed.background == (255, 255, 255)
    assert slide.with_mpp(0.25).with_icc().mpp == changed.with_mpp(0.25).mpp == 0.25
    region = Region(0, 0, 128, 128)
    assert np.array_equal(changed.with_mpp(0.5).read(region, 0.5), changed.read(region, 0.5))


def test_a_profile_of_srgb_changes_hardly_anything(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = coordinate_image(300, 260)
    with open_slide(write_tiff(tmp_path / "a.tif", srgb, image)) as opened:
        assert np.abs(level_0(opened.with_icc()).astype(int) - image).max() <= 1


@pytest.mark.parametrize("write", [write_tiff, write_png])
def test_without_a_profile_it_is_refused(write: Write, tmp_path: Path) -> None:
    with open_slide(write(tmp_path / "slide.tif", None)) as opened:
        assert opened.icc_profile is None
        assert describe_profile(opened.icc_profile) is None
        with pytest.raises(ColourProfileError, match=r"slide\.\w+ has no ICC profile.*--icc"):
            opened.with_icc()


@pytest.mark.parametrize(
    "profile",
    [b"\xfe\xff\xdd\xe0" * 64, PROFILE[:60], PROFILE[:200], PROFILE.replace(b"XYZ ", b"abc ")],
    ids=["other bytes", "half a header", "cut short", "no such colours"],
)
@pytest.mark.parametrize("write", [write_tiff, write_png, write_dicom])
def test_a_damaged_profile_is_named_and_stops_nothing_else(
    profile: bytes, write: Write, tmp_path: Path
) -> None:
    with open_slide(write(tmp_path / "slide.tif", profile)) as opened:
        assert np.array_equal(level_0(opened), IMAGE)
        with pytest.raises(ColourProfileError, match="damaged ICC profile: copy"):
            opened.with_icc()
    assert describe_profile(b"") == describe_profile(profile[:60]) == "damaged"


def test_a_profile_beyond_the_end_of_the_file_is_no_profile(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", PROFILE)
    content = bytearray(path.read_bytes())
    entry = b"\x73\x87\x07\x00"  # tag 34675, undefined bytes; its offset comes after its count
    at = content.index(entry)
    while at >= 0:
        content[at + 8 : at + 12] = b"\xff\xff\xff\x7f"
        at = content.find(entry, at + 1)
    path.write_bytes(content)
    with open_slide(path) as opened:
        assert np.array_equal(level_0(opened), IMAGE)
        with pytest.raises(ColourProfileError):
            opened.with_icc()


def test_a_profile_of_other_colours_is_refused(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", wide_profile(colours=b"CMYK"))
    with open_slide(path) as opened, pytest.raises(ColourProfileError, match="CMYK colours"):
        opened.with_icc()
