"""One slide of every format that can be made, without loss, and other programs that read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pyvips
import tifffile
from PIL import Image as Pillow

from support.dicom_slides import write_dicom_level
from support.ome_zarr import write_ome_zarr
from support.slides import (
    APERIO,
    Image,
    noise_image,
    pyramid,
    write_ome_pyramid,
    write_pyramid_tiff,
    write_svs,
)

IMAGE = noise_image(760, 520, seed=11)
ODD = noise_image(451, 333, seed=12)
_LEVELS = 3
_REVERSIBLE = {"level": 0, "reversible": True}
_TIFFS = {".tif", ".tiff", ".svs", ".scn", ".bif", ".btf"}


@dataclass(frozen=True)
class Format:
    """A format, how a slide of it is made, and who else reads it.

    Parameters
    ----------
    name
        For the table.
    write
        Writes a slide into a folder; returns what to open and the pixels of each level, level 0
        first.
    readers
        Programs that read its levels, too: o for OpenSlide, t for tifffile, v for libvips.
    """

    name: str
    write: Callable[[Path], tuple[Path, list[Image]]]
    readers: str


def _pages(name: str, readers: str, suffix: str = ".tif", **options: Any) -> Format:
    def write(folder: Path) -> tuple[Path, list[Image]]:
        path = write_pyramid_tiff(folder / f"a{suffix}", IMAGE, levels=_LEVELS, tile=64, **options)
        return path, pyramid(IMAGE, _LEVELS)

    return Format(name, write, readers)


def _one_page(
    name: str, readers: str, image: Image = ODD, shown: Image | None = None, **options: Any
) -> Format:
    def write(folder: Path) -> tuple[Path, list[Image]]:
        path = folder / "a.tif"
        tifffile.imwrite(path, image, metadata=None, **options)
        return path, [ODD if shown is None else shown]

    return Format(name, write, readers)


def _svs(folder: Path) -> tuple[Path, list[Image]]:
    """As Aperio lays it out: slide, thumbnail, levels, label, macro."""
    path, levels = folder / "a.svs", pyramid(IMAGE, _LEVELS)
    height, width = IMAGE.shape[:2]
    described = {"description": APERIO.format(width=width, height=height, mpp="0.5")}
    tiled = {"tile": (64, 64), "compression": "lzw", "subfiletype": 0}
    label, macro = IMAGE[:60, :50], IMAGE[:70, :160]
    pages = [(levels[0], tiled), (IMAGE[::8, ::8], {}), *((level, tiled) for level in levels[1:])]
    pages += [(label, {"subfiletype": 1}), (macro, {"subfiletype": 9})]
    with tifffile.TiffWriter(path) as tiff:
        for page, options in pages:
            tiff.write(page, photometric="rgb", metadata=None, **described, **options)
    return path, levels


def _svs_of_one_level(compression: str, **options: Any) -> Callable[[Path], Any]:
    def write(folder: Path) -> tuple[Path, list[Image]]:
        path = folder / "a.svs"
        return write_svs(path, ODD, tile=64, compression=compression, **options), [ODD]

    return write


def _ome(folder: Path) -> tuple[Path, list[Image]]:
    path = write_ome_pyramid(folder / "a.ome.tif", IMAGE, levels=_LEVELS, tile=64)
    return path, pyramid(IMAGE, _LEVELS)


def _padded(*, subifds: bool) -> Callable[[Path], tuple[Path, list[Image]]]:
    """Levels in whole tiles, as some scanners store them, each with its own spacing."""

    def write(folder: Path) -> tuple[Path, list[Image]]:
        path, levels = folder / ("a.ome.tif" if subifds else "a.tif"), pyramid(IMAGE, _LEVELS)
        with tifffile.TiffWriter(path, ome=subifds) as tiff:
            for index, level in enumerate(levels):
                sides = [(0, -side % 128 if index else 0) for side in level.shape[:2]]
                tiff.write(
                    np.pad(level, (*sides, (0, 0)), constant_values=7),
                    photometric="rgb",
                    tile=(128, 128),
                    compression="zlib",
                    resolution=(20_000 / 2**index,) * 2,
                    resolutionunit="CENTIMETER",
                    subfiletype=1 if index else 0,
                    subifds=_LEVELS - 1 if subifds and not index else None,
                    metadata={"axes": "YXS"} if subifds and not index else None,
                )
        return path, levels

    return write


def _second_of_two(folder: Path) -> tuple[Path, list[Image]]:
    path = folder / "two.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tiff:
        for image in (noise_image(700, 500, seed=5), IMAGE):
            levels = pyramid(image, _LEVELS)
            for index, level in enumerate(levels):
                tiff.write(
                    level,
                    photometric="rgb",
                    tile=(64, 64),
                    compression="zlib",
                    subfiletype=1 if index else 0,
                    subifds=None if index else _LEVELS - 1,
                    metadata=None if index else {"axes": "YXS", "PhysicalSizeX": 0.5},
                )
    return path.with_name("two.ome.tif#2"), pyramid(IMAGE, _LEVELS)


def _focal_planes(folder: Path) -> tuple[Path, list[Image]]:
    path = folder / "a.ome.tif"
    stack = np.stack([ODD, ODD[::-1], ODD[:, ::-1]])
    tifffile.imwrite(path, stack, photometric="rgb", tile=(64, 64), metadata={"axes": "ZYXS"})
    return path, [ODD]


def _planes_of_colours(folder: Path) -> tuple[Path, list[Image]]:
    path = folder / "a.ome.tif"
    planes = np.moveaxis(ODD, -1, 0)
    tifffile.imwrite(
        path, planes, photometric="minisblack", tile=(64, 64), metadata={"axes": "CYX"}
    )
    return path, [ODD]


def _leica(folder: Path) -> tuple[Path, list[Image]]:
    """A scan in a collection that is 32 px larger on each side, and white there."""
    path, levels = folder / "a.scn", pyramid(IMAGE, _LEVELS)
    height, width = IMAGE.shape[:2]
    stored = "".join(
        f'<dimension sizeX="{level.shape[1]}" sizeY="{level.shape[0]}" r="{i}" ifd="{i}"/>'
        for i, level in enumerate(levels)
    )
    xml = (
        '<scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01"><collection '
        f'sizeX="{(width + 64) * 500}" sizeY="{(height + 64) * 500}"><barcode>x</barcode><image>'
        '<creationDate>2020-01-01T00:00:00</creationDate><device model="m" version="1"/>'
        f'<pixels sizeX="{width}" sizeY="{height}">{stored}</pixels><view '
        f'sizeX="{width * 500}" sizeY="{height * 500}" offsetX="16000" offsetY="16000"/>'
        "<scanSettings>"
        "<objectiveSettings><objective>20</objective></objectiveSettings><illuminationSettings>"
        "<illuminationSource>brightfield</illuminationSource></illuminationSettings>"
        "</scanSettings></image></collection></scn>"
    )
    _described_pages(path, levels, xml)
    whole = [
        np.pad(level, ((side, side), (side, side), (0, 0)), constant_values=255)
        for level, side in zip(levels, (32, 16, 8), strict=True)
    ]
    return path, whole


def _philips(folder: Path) -> tuple[Path, list[Image]]:
    def attribute(name: str, element: str, value: str, kind: str = "IString") -> str:
        group, number = element.split(",")
        return (
            f'<Attribute Name="{name}" Group="{group}" Element="{number}" PMSVR="{kind}">'
            f"{value}</Attribute>"
        )

    path, levels = folder / "a.tiff", pyramid(IMAGE, _LEVELS)
    objects = "".join(
        '<DataObject ObjectType="PixelDataRepresentation">'
        + attribute(
            "DICOM_PIXEL_SPACING",
            "0x0028,0x0030",
            f"&quot;{0.0005 * 2**i:.6f}&quot; &quot;{0.0005 * 2**i:.6f}&quot;",
            "IDoubleArray",
        )
        + attribute("PIIM_PIXEL_DATA_REPRESENTATION_NUMBER", "0x1001,0x8B01", str(i), "IUInt16")
        + "</DataObject>"
        for i in range(_LEVELS)
    )
    images = attribute(
        "PIM_DP_SCANNED_IMAGES",
        "0x301D,0x1003",
        '<Array><DataObject ObjectType="DPScannedImage">'
        + attribute("PIM_DP_IMAGE_TYPE", "0x301D,0x1004", "WSI")
        + attribute(
            "PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE",
            "0x1001,0x8B01",
            f"<Array>{objects}</Array>",
            "IDataObjectArray",
        )
        + "</DataObject></Array>",
        "IDataObjectArray",
    )
    maker = attribute("DICOM_MANUFACTURER", "0x0008,0x0070", "PHILIPS")
    xml = (
        '<?xml version="1.0" encoding="UTF-8" ?><DataObject ObjectType="DPUfsImport">'
        f"{maker}{images}</DataObject>"
    )
    return _described_pages(path, levels, xml, software="Philips DP v1.0"), levels


def _described_pages(path: Path, levels: Sequence[Image], xml: str, **options: str) -> Path:
    with tifffile.TiffWriter(path) as tiff:
        for index, level in enumerate(levels):
            tiff.write(
                level,
                photometric="rgb",
                tile=(64, 64),
                compression="zlib",
                description=None if index else xml,
                subfiletype=1 if index else 0,
                metadata=None,
                **options,
            )
    return path


def _picture(kind: str, **options: Any) -> Callable[[Path], tuple[Path, list[Image]]]:
    def write(folder: Path) -> tuple[Path, list[Image]]:
        path = folder / f"a.{kind}"
        Pillow.fromarray(ODD).save(path, **options)
        return path, [ODD]

    return write


def _dicom(folder: Path) -> tuple[Path, list[Image]]:
    levels = pyramid(IMAGE, _LEVELS)
    for index, level in enumerate(levels):
        write_dicom_level(folder / f"{index}.dcm", level, "1", mpp=0.5 * 2**index)
    return folder / "0.dcm", levels


def _ome_zarr(version: str, **options: Any) -> Callable[[Path], tuple[Path, list[Image]]]:
    def write(folder: Path) -> tuple[Path, list[Image]]:
        path = write_ome_zarr(folder / "a.ome.zarr", IMAGE, version, **options)
        return path, pyramid(IMAGE, _LEVELS)

    return write


_GREY = np.ascontiguousarray(ODD[..., 0])
_SHOWN_GREY = np.repeat(_GREY[..., np.newaxis], 3, axis=-1)
_RGBA = np.dstack([ODD, np.full(ODD.shape[:2], 255, np.uint8)])

FORMATS: tuple[Format, ...] = (
    _pages("TIFF, tiles, uncompressed", "otv", compression=None),
    *(
        _pages(f"TIFF, tiles, {codec}", readers, compression=codec)
        for codec, readers in {
            "zlib": "otv",
            "lzw": "otv",
            "packbits": "otv",
            "zstd": "ot",
            "lzma": "t",
        }.items()
    ),
    _pages(
        "TIFF, tiles, WebP",
        "t",
        compression="webp",
        compressionargs={"level": 100, "lossless": True},
    ),
    _pages("TIFF, tiles, JPEG 2000", "t", compression="jpeg2000", compressionargs=_REVERSIBLE),
    _pages("TIFF, tiles, predictor", "otv", predictor=True),
    _pages("TIFF, BigTIFF", "otv", suffix=".btf", compression="lzw"),
    _one_page("TIFF, strips", "tv", photometric="rgb", rowsperstrip=7, compression="zlib"),
    _one_page("TIFF, one strip", "tv", photometric="rgb"),
    _one_page("TIFF, big-endian", "tv", photometric="rgb", tile=(64, 64), byteorder=">"),
    _one_page(
        "TIFF, colours apart",
        "ot",
        np.moveaxis(ODD, -1, 0),
        photometric="rgb",
        planarconfig="separate",
        tile=(64, 64),
        compression="zlib",
    ),
    _one_page("TIFF, grey", "otv", _GREY, _SHOWN_GREY, tile=(64, 64), photometric="minisblack"),
    _one_page(
        "TIFF, white is 0", "otv", _GREY, 255 - _SHOWN_GREY, tile=(64, 64), photometric="miniswhite"
    ),
    _one_page(
        "TIFF, RGBA",
        "otv",
        _RGBA,
        photometric="rgb",
        tile=(64, 64),
        extrasamples=["unassalpha"],
    ),
    Format("TIFF, padded levels", _padded(subifds=False), "otv"),
    Format("OME-TIFF, SubIFDs", _ome, "otv"),
    Format("OME-TIFF, padded SubIFDs", _padded(subifds=True), "otv"),
    Format("OME-TIFF, second of two", _second_of_two, "tv"),
    Format("OME-TIFF, focal planes", _focal_planes, "otv"),
    Format("OME-TIFF, a page a colour", _planes_of_colours, "t"),
    Format("Aperio SVS, LZW", _svs, "otv"),
    Format("Aperio SVS, uncompressed", _svs_of_one_level("none"), "otv"),
    Format(
        "Aperio SVS, JPEG 2000",
        _svs_of_one_level("APERIO_JP2000_RGB", compressionargs=_REVERSIBLE),
        "ot",
    ),
    Format("Leica SCN", _leica, "o"),
    Format("Philips TIFF", _philips, "otv"),
    Format("DICOM", _dicom, "o"),
    Format("OME-Zarr 0.4", _ome_zarr("0.4"), ""),
    Format("OME-Zarr 0.5", _ome_zarr("0.5"), ""),
    Format("OME-Zarr 0.5, shards", _ome_zarr("0.5", axes="yxc", shards=(128, 128, 1)), ""),
    Format("PNG", _picture("png"), "v"),
    Format("BMP", _picture("bmp"), ""),
    Format("WebP", _picture("webp", lossless=True), "v"),
)


def images_read_by(reader: str, path: Path) -> list[Image]:
    """Return all images that a program finds in a file, as RGB; none if it reads no such file."""
    file = path.with_name(path.name.partition("#")[0])
    images = {"o": _openslide_images, "t": _tifffile_images, "v": _vips_images}[reader]
    try:
        return [_rgb(image) for image in images(file)]
    except (openslide.OpenSlideError, pyvips.Error, tifffile.TiffFileError):
        return []


def _openslide_images(path: Path) -> Iterator[Image]:
    with openslide.OpenSlide(path) as slide:
        for level, size in enumerate(slide.level_dimensions):
            image = slide.read_region((0, 0), level, size)
            yield np.asarray(Pillow.alpha_composite(Pillow.new("RGBA", size, "white"), image))


def _tifffile_images(path: Path) -> Iterator[Image]:
    with tifffile.TiffFile(path) as tiff:
        yield from (level.asarray() for series in tiff.series for level in series.levels)
        for page in tiff.pages:
            image = page.asarray()
            yield 255 - image if page.keyframe.photometric == 0 else image  # where white is 0


def _vips_images(path: Path) -> Iterator[Image]:
    if path.suffix not in _TIFFS:
        yield pyvips.Image.new_from_file(str(path)).numpy()
        return

    def load(**place: int) -> pyvips.Image:
        # Where it lacks a decoder it would give black pixels.
        return pyvips.Image.tiffload(str(path), fail_on="error", **place)

    for page in range(load().get("n-pages")):
        image = load(page=page)
        yield image.numpy()
        below = image.get("n-subifds") if "n-subifds" in image.get_fields() else 0
        for number in range(below):
            yield pyvips.Image.tiffload(
                str(path), page=page, subifd=number, fail_on="error"
            ).numpy()


def _rgb(image: Image) -> Image:
    """Bring what a program gives to (y, x, 3): grey to colour, opaque without its alpha."""
    if image.ndim > 2 and image.shape[0] == 3 and image.shape[-1] > 4:  # a plane a colour
        image = np.moveaxis(image, 0, -1)
    if image.ndim == 2 or image.shape[-1] == 1:
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=-1)
    return image[..., :3]
