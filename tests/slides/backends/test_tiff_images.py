"""Which images of a TIFF are slides: labels are not, and several are told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_smse.errors import DamagedSlideError, NotASlideError, SeveralSlidesError
from napari_smse.reader import get_reader, read_slides
from napari_smse.results.folder import result_folder_names
from napari_smse.slides import file_and_image, open_slide, slides_in_file
from napari_smse.workflows.batch.discovery import find_slides
from support.shell import Shell, shell
from support.slides import Image, noise_image, write_pyramid_tiff

__all__ = ["shell"]  # the fixture
FIRST, SECOND = noise_image(300, 200, seed=1), noise_image(320, 240, seed=2)


def write_two(path: Path) -> Path:
    """Two slides and a label in one OME-TIFF."""
    with tifffile.TiffWriter(path, ome=True) as tiff:
        for name, image in (
            ("label image", noise_image(250, 250)),
            ("left", FIRST),
            ("right", SECOND),
        ):
            tiff.write(
                image,
                photometric="rgb",
                tile=(64, 64),
                metadata={"axes": "YXS", "Name": name, "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5},
            )
    return path


def write_pages(path: Path, *images: Image) -> Path:
    with tifffile.TiffWriter(path) as tiff:
        for image in images:
            tiff.write(
                image,
                photometric="rgb",
                tile=(64, 64),
                resolution=(20_000, 20_000),
                resolutionunit="CENTIMETER",
                metadata=None,
            )
    return path


def pixels(path: Path) -> Image:
    with open_slide(path) as slide:
        return slide.read_level(0, 0, 0, slide.width, slide.height)


def test_a_label_that_lies_first_is_no_slide(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(noise_image(150, 120), photometric="rgb", tile=(64, 64), metadata=None)
        for level in (FIRST, FIRST[::2, ::2]):
            tiff.write(
                level,
                photometric="rgb",
                tile=(64, 64),
                subfiletype=0 if level is FIRST else 1,
                resolution=(20_000, 20_000),
                resolutionunit="CENTIMETER",
                metadata=None,
            )
    with open_slide(path) as slide:
        assert (slide.width, slide.height, len(slide.levels), slide.mpp) == (300, 200, 2, 0.5)
        assert np.array_equal(slide.read_level(0, 0, 0, 300, 200), FIRST)
    assert slides_in_file(path) == [path]


def test_the_viewer_opens_what_begins_with_a_label_in_strips(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tiff:
        tiff.write(noise_image(150, 120), photometric="rgb", metadata={"Name": "label"})
        tiff.write(FIRST, photometric="rgb", tile=(64, 64), metadata={"Name": "slide"})
    assert get_reader(str(path)) is not None
    assert np.array_equal(pixels(path), FIRST)


@pytest.mark.parametrize("suffix", [".btf", ".tf8", ".TIF", ".OME.BTF"])
def test_the_viewer_the_shell_and_folders_take_the_same_names(tmp_path: Path, suffix: str) -> None:
    path = write_pages(tmp_path / f"a{suffix}", FIRST)
    assert get_reader(str(path)) is not None
    assert find_slides([str(tmp_path)]) == [path]
    assert np.array_equal(pixels(path), FIRST)


def test_the_smallest_page_may_be_first(tmp_path: Path) -> None:
    path = write_pages(tmp_path / "a.tif", FIRST[::4, ::4], FIRST[::2, ::2], FIRST)
    with open_slide(path) as slide:
        assert (slide.width, slide.height) == (300, 200)


def test_of_several_slides_one_is_to_be_chosen(tmp_path: Path) -> None:
    path = write_two(tmp_path / "both.ome.tif")
    with pytest.raises(
        SeveralSlidesError, match=r"2 slides \(1: left, 300 x 200 px; 2: .*both.ome.tif#1$"
    ):
        open_slide(path)
    assert np.array_equal(pixels(tmp_path / "both.ome.tif#1"), FIRST)
    assert np.array_equal(pixels(tmp_path / "both.ome.tif#2"), SECOND)
    with pytest.raises(NotASlideError, match=r"no slide 3: it holds 2"):
        open_slide(tmp_path / "both.ome.tif#3")


def test_two_pages_of_one_size_are_two_slides(tmp_path: Path) -> None:
    path = write_pages(tmp_path / "pages.tif", FIRST, FIRST[::-1])
    first, second = slides_in_file(path)
    assert np.array_equal(pixels(first), FIRST)
    assert np.array_equal(pixels(second), FIRST[::-1])


def test_each_has_a_name_a_hash_and_a_folder_of_its_own(tmp_path: Path) -> None:
    paths = slides_in_file(write_two(tmp_path / "both.ome.tif"))
    slides = [open_slide(path) for path in paths]
    assert [slide.name for slide in slides] == ["both#1", "both#2"]
    assert slides[0].quick_hash != slides[1].quick_hash
    assert [slide.associated_images for slide in slides] == [("label image",)] * 2
    assert result_folder_names(paths) == ["both#1", "both#2"]
    for slide in slides:
        slide.require_unchanged(content=True)
    with paths[0].with_name("both.ome.tif").open("ab") as file:
        file.write(b"more")
    for slide in slides:
        with pytest.raises(Exception, match="changed"):
            slide.require_unchanged()
        slide.close()


def test_a_folder_the_viewer_and_info_take_them_all(tmp_path: Path, shell: Shell) -> None:
    write_two(tmp_path / "both.ome.tif")
    write_pyramid_tiff(tmp_path / "one.tif", FIRST, tile=64)
    found = find_slides([str(tmp_path)])
    assert [path.name for path in found] == ["both.ome.tif#1", "both.ome.tif#2", "one.tif"]
    layers = read_slides([str(tmp_path / "both.ome.tif"), str(tmp_path / "one.tif")])
    assert [arguments["name"] for _, arguments, _ in layers] == ["both#1", "both#2", "one"]
    answer = shell("info", tmp_path / "both.ome.tif")
    assert [line.split()[1] for line in answer.out.splitlines() if line.startswith("name")] == [
        "both#1",
        "both#2",
    ]


def test_a_file_whose_own_name_ends_so_is_that_file(tmp_path: Path) -> None:
    path = write_pyramid_tiff(tmp_path / "one.tif#2", FIRST, tile=64)
    assert file_and_image(path) == (path, None)
    assert np.array_equal(pixels(path), FIRST)


def test_of_focal_planes_the_first_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "stack.ome.tif"
    tifffile.imwrite(
        path,
        np.stack([FIRST, FIRST[::-1], FIRST[::-1]]),
        photometric="rgb",
        tile=(64, 64),
        metadata={"axes": "ZYXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5},
    )
    assert np.array_equal(pixels(path), FIRST)
    assert "3 focal planes; the first is read" in caplog.text


def test_a_list_of_images_that_leads_back_to_itself_ends(tmp_path: Path) -> None:
    path = write_pyramid_tiff(tmp_path / "a.tif", FIRST, tile=64, levels=1)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        first = tiff.pages.first.offset
        last = first + 2 + 12 * len(tiff.pages.first.tags)
    content[last : last + 4] = first.to_bytes(4, "little")
    path.write_bytes(content)
    assert np.array_equal(pixels(path), FIRST)


@pytest.mark.parametrize("name", ["../../etc/passwd", "C:\\\\secret.tif", "/etc/passwd"])
def test_parts_in_other_folders_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.ome.tif"
    xml = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        'UUID="urn:uuid:a"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" '
        'Type="uint8" SizeX="64" SizeY="64" SizeC="3" SizeZ="1" SizeT="1" BigEndian="false">'
        '<Channel ID="Channel:0:0" SamplesPerPixel="3"/><TiffData IFD="0" PlaneCount="1">'
        f'<UUID FileName="{name}">urn:uuid:b</UUID></TiffData></Pixels></Image></OME>'
    )
    tifffile.imwrite(path, FIRST[:64, :64], photometric="rgb", description=xml, metadata=None)
    with pytest.raises(DamagedSlideError, match="in another folder; put all parts beside it"):
        open_slide(path)


@pytest.mark.parametrize("dtype", [np.uint8, bool, np.uint16])
@pytest.mark.parametrize("name", ["tissue mask", "labels", ""])
@pytest.mark.parametrize("first", [True, False])
def test_a_mask_of_its_size_is_no_second_slide(
    tmp_path: Path, dtype: type, name: str, first: bool
) -> None:
    path = tmp_path / "a.ome.tif"
    mask = (FIRST[..., 0] > 128).astype(dtype)
    images = [(mask, "minisblack", name), (FIRST, "rgb", "slide")]
    with tifffile.TiffWriter(path, ome=True) as tiff:
        for image, colours, title in images if first else images[::-1]:
            axes = "YXS" if image.ndim == 3 else "YX"
            tiff.write(
                image,
                photometric=colours,
                tile=(64, 64),
                metadata={"axes": axes, "Name": title},
            )
    assert slides_in_file(path) == [path]
    assert np.array_equal(pixels(path), FIRST)


def test_two_grey_images_are_two_slides(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tiff:
        for name in ("left", "right"):
            tiff.write(FIRST[..., 0], tile=(64, 64), metadata={"axes": "YX", "Name": name})
    assert len(slides_in_file(path)) == 2
