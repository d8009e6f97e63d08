"""What OpenSlide knows and refuses is no plain TIFF either: tiles would lie where they do not."""

from __future__ import annotations

from pathlib import Path

import openslide
import pytest
import tifffile

from napari_smse.errors import DamagedSlideError
from napari_smse.slides import open_slide
from support.slides import Image, noise_image, write_svs

IMAGE = noise_image(768, 512)
_XMP = 700
_SCN = (
    '<scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">'
    '<collection sizeX="2000000" sizeY="2000000"><barcode>x</barcode>{regions}</collection></scn>'
)
_REGION = (
    '<image><creationDate>2020-01-01T00:00:00</creationDate><device model="m" version="1"/>'
    '<pixels sizeX="768" sizeY="512"><dimension sizeX="768" sizeY="512" r="0" ifd="{ifd}"/>'
    '</pixels><view sizeX="384000" sizeY="256000" offsetX="{ifd}000" offsetY="0"/><scanSettings>'
    "<objectiveSettings><objective>{power}</objective></objectiveSettings><illuminationSettings>"
    "<illuminationSource>{light}</illuminationSource></illuminationSettings></scanSettings></image>"
)


def write_pages(path: Path, pages: list[Image], descriptions: list[str], **options: str) -> Path:
    with tifffile.TiffWriter(path) as tiff:
        for page, description in zip(pages, descriptions, strict=True):
            tiff.write(
                page,
                photometric="rgb",
                tile=(256, 256),
                compression="zlib",
                description=description or None,
                metadata=None,
                **options,
            )
    return path


def unknown_joint(folder: Path) -> Path:
    """A Ventana slide whose second tile joins the first in a way OpenSlide cannot follow."""
    label = '<iScan Magnification="20" ScanRes="0.465" UnitNumber="1" BuildVersion="3"/>'
    tiles = (
        '<EncodeInfo Ver="2"><SlideStitchInfo><ImageInfo AOIScanned="1" AOIIndex="0" Width="256" '
        'Height="256" NumRows="2" NumCols="3" Pos-X="0" Pos-Y="0"><TileJointInfo FlagJoined="1" '
        'Confidence="100" Direction="LEFT" Tile1="2" Tile2="1" OverlapX="16" OverlapY="0"/>'
        '</ImageInfo></SlideStitchInfo><AoiOrigin><AOI0 OriginX="0" OriginY="0"/></AoiOrigin>'
        "</EncodeInfo>"
    )
    path = folder / "slide.bif"
    parts = [(IMAGE[:64, :64], "Label Image", label), (IMAGE, "level=0 mag=20 quality=95", tiles)]
    with tifffile.TiffWriter(path) as tiff:
        for page, description, xml in parts:
            tiff.write(
                page,
                photometric="rgb",
                tile=(256, 256) if page is IMAGE else None,
                description=description,
                metadata=None,
                extratags=[(_XMP, 7, len(xml), xml.encode(), True)],
            )
    return path


def fluorescence(folder: Path) -> Path:
    regions = "".join(_REGION.format(ifd=ifd, power=20, light="fluorescence") for ifd in (0, 1))
    return write_pages(folder / "slide.scn", [IMAGE, IMAGE], [_SCN.format(regions=regions), ""])


def unlike_regions(folder: Path) -> Path:
    regions = "".join(
        _REGION.format(ifd=ifd, power=power, light="brightfield")
        for ifd, power in enumerate((20, 40))
    )
    return write_pages(folder / "slide.scn", [IMAGE, IMAGE], [_SCN.format(regions=regions), ""])


def without_spacing(folder: Path) -> Path:
    xml = (
        '<?xml version="1.0" encoding="UTF-8" ?><DataObject ObjectType="DPUfsImport"><Attribute '
        'Name="DICOM_MANUFACTURER" Group="0x0008" Element="0x0070" PMSVR="IString">PHILIPS'
        "</Attribute></DataObject>"
    )
    return write_pages(folder / "slide.tiff", [IMAGE], [xml], software="Philips DP v1.0")


@pytest.mark.parametrize(
    ("make", "vendor", "reason"),
    [
        (unknown_joint, "ventana", 'Bad direction attribute "LEFT"'),
        (fluorescence, "leica", "Can't find main image"),
        (unlike_regions, "leica", "dissimilar main images"),
        (without_spacing, "philips", "Expected one WSI image"),
    ],
)
def test_its_reason_is_the_error(tmp_path: Path, make, vendor: str, reason: str) -> None:
    path = make(tmp_path)
    assert openslide.OpenSlide.detect_format(path) == vendor
    with pytest.raises(DamagedSlideError) as caught:
        open_slide(path)
    told = str(caught.value)
    assert reason in told
    assert vendor in told
    assert told.startswith(path.name)
    assert "\n" not in told


def test_an_aperio_slide_in_another_codec_loses_nothing(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "slide.svs", IMAGE, compression="lzma")
    with pytest.raises(openslide.OpenSlideError, match="compression"):
        openslide.OpenSlide(path)
    with open_slide(path) as slide:
        assert (slide.backend_name, slide.vendor) == ("tifffile", "aperio")
        assert slide.scale.mpp == pytest.approx(0.499)
        assert (slide.read_level(0, 0, 0, 768, 512) == IMAGE).all()
