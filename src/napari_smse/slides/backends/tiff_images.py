"""A TIFF as tifffile opens it: which of its images are slides, and which of them is meant.

A file may hold a label, a picture of the glass, one pyramid or several slides. An image counts as a
slide if its name is not that of a label or an overview, and it has levels or is at least half as
large as the largest.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final

import numpy as np
import tifffile

from napari_smse.errors import DamagedSlideError, NotASlideError
from napari_smse.slides.remote_path import RemotePath

TIFF_MAGIC: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NO_SLIDE: Final = re.compile(
    r"\b(label|macro|overview|thumbnail|barcode|mask|segmentation)s?\b", re.IGNORECASE
)
_COLOURS: Final = 3
_STACK_AXES: Final = frozenset("IQ")
"""Of images that have nothing but their size in common."""
_FOCAL_AXIS: Final = "Z"
_MAX_PLANES: Final = 16
_log = logging.getLogger(__name__)
MAX_IMAGES: Final = 10_000
_FILE_NAMES: Final = re.compile(r'\bFileName="([^"]*)"')


@contextmanager
def open_tiff(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF.

    Raises
    ------
    NotASlideError
        It holds more than 10,000 images.
    DamagedSlideError
        Its OME-XML names files of other folders.
    """
    with ExitStack() as opened:
        source: Path | IO[bytes] = path
        if isinstance(path, RemotePath):
            source = opened.enter_context(path.open("rb"))
        tiff = opened.enter_context(tifffile.TiffFile(source))
        # Counted first, a list of images that leads back to itself ends; gone through, it does not.
        if len(tiff.pages) > MAX_IMAGES:
            raise NotASlideError(
                f"{path.name} holds {len(tiff.pages)} images, and is not a slide; open a slide file"
            )
        if tiff.is_ome:
            _require_same_folder(tiff.ome_metadata or "", path)
        yield tiff


def ome_file_names(description: str) -> set[str]:
    """Return the names of files that OME-XML counts to an image."""
    return set(_FILE_NAMES.findall(description))


def _require_same_folder(description: str, path: Path) -> None:
    for name in ome_file_names(description):
        if re.search(r"[/\\:]|^\.\.$", name):
            raise DamagedSlideError(
                f"{path.name} says that a part of it is {name[:80]!r}, in another folder; put all "
                "parts beside it, and export it again"
            )


def slide_images(tiff: tifffile.TiffFile) -> list[tifffile.TiffPageSeries]:
    """Return the images of a TIFF that are slides, in the file's order; none if it holds no image.

    Images of one size that are stacked by nothing but it are taken apart.
    """
    images = [image for series in tiff.series for image in _apart(series)]
    largest = max(map(pixel_count, images), default=0)
    if not largest:
        return []
    slides = [image for image in images if _may_be_slide(image, largest)]
    coloured = [image for image in slides if _is_coloured(image)]
    if coloured:  # what is grey beside them is a mask
        return coloured
    return slides or [max(images, key=pixel_count)]


def describe_image(image: tifffile.TiffPageSeries) -> str:
    """Return name and size of an image, to be listed."""
    name = f"{image.name[:40]}, " if image.name else ""
    return f"{name}{image.keyframe.imagewidth} x {image.keyframe.imagelength} px"


def first_plane(series: tifffile.TiffPageSeries) -> tifffile.TiffPageSeries:
    """Return the first focal plane of a stack, with a word in the log; anything else as it is."""
    sides = dict(zip(series.axes, series.shape, strict=False))
    planes = int(sides.get(_FOCAL_AXIS, 1))
    if planes < 2 or set(series.axes) - set("ZYXS"):
        return series
    _log.warning(
        "%s holds %d focal planes; the first is read", series.keyframe.parent.filename, planes
    )
    first = _page_series(series, 0)
    first.levels[1:] = [_page_series(level, 0) for level in series.levels[1:]]
    return first


def pixel_count(series: tifffile.TiffPageSeries) -> int:
    """Return how many pixels a plane of a series has."""
    sides = dict(zip(series.axes, series.shape, strict=False))
    return int(sides.get("X", 0)) * int(sides.get("Y", 0))


def _apart(series: tifffile.TiffPageSeries) -> Iterator[tifffile.TiffPageSeries]:
    stacked = series.axes and series.axes[0] in _STACK_AXES and series.axes[1:] in {"YXS", "YX"}
    if stacked and len(series.levels) == 1 and len(series.pages) <= _MAX_PLANES:
        for place in range(len(series.pages)):
            yield _page_series(series, place)
    else:
        yield series


def _page_series(series: tifffile.TiffPageSeries, place: int) -> tifffile.TiffPageSeries:
    page = series.pages[place]
    if page is None or series.keyframe is None:
        raise NotASlideError(f"{series.name or 'a stack'} lacks images")
    return tifffile.TiffPageSeries(
        [page], series.keyframe.shape, series.dtype, series.keyframe.axes, name=series.name
    )


def _may_be_slide(image: tifffile.TiffPageSeries, largest: int) -> bool:
    coloured = image.dtype == np.uint8 and not image.keyframe.is_reduced  # a level of another
    large = pixel_count(image) * 2 >= largest or len(image.levels) > 1
    return bool(coloured and large and not _NO_SLIDE.search(image.name or ""))


def _is_coloured(image: tifffile.TiffPageSeries) -> bool:
    sides = dict(zip(image.axes, image.shape, strict=False))
    return int(sides.get("S", sides.get("C", 1))) >= _COLOURS
