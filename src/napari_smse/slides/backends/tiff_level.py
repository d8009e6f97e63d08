"""One level of a TIFF as the segments its file stores."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_smse.errors import DamagedSlideError, NotASlideError
from napari_smse.slides.backends.positional_file import PositionedBytes, positioned_bytes
from napari_smse.slides.remote_file import LUMP_BYTES
from napari_smse.slides.remote_path import slide_path

_MIN_IS_WHITE = 0
_READABLE_PHOTOMETRICS = {0, 1, 2, 6}  # min-is-white, min-is-black, RGB, YCbCr
_UNCOMPRESSED = 1
_YCBCR = 6
_JPEG_CODECS = {6, 7}
_RAW_STRIP_BYTES = 2**20
_LARGEST_SEGMENT = 2**29
_MAX_SURPLUS = 2
# Only OpenSlide knows the colours of Aperio's other JPEG 2000, 33003.
_SELF_DECODED = {1, 5, 7, 8, 32773, 32946, 33005, 50000, 50001}

Decode = Callable[[bytes, int], NDArray[np.uint8]]


@dataclass(frozen=True)
class Plane:
    """Where the segments of one page, or of one colour plane of it, lie.

    Parameters
    ----------
    file : PositionedBytes
        File that holds them.
    offsets, counts : numpy.ndarray
        int64 position and length in bytes of each segment, row by row.
    first : int
        Index of the first of them within the page.
    decode : callable
        Turns the bytes of a segment and its index in the page into (h, w, samples).
    """

    file: PositionedBytes
    offsets: NDArray[np.int64]
    counts: NDArray[np.int64]
    first: int
    decode: Decode


@dataclass(frozen=True)
class TiffLevel:
    """One level: its size, the grid of its segments and the planes that make its samples."""

    width: int
    height: int
    tile_width: int
    tile_height: int
    planes: tuple[Plane, ...]
    tiled: bool
    plainly_coded: bool
    inverted: bool

    @property
    def columns(self) -> int:
        """Segments in a row."""
        return -(-self.width // self.tile_width)

    @property
    def rows(self) -> int:
        """Rows of segments."""
        return -(-self.height // self.tile_height)

    @property
    def complete(self) -> bool:
        """Whether every segment is stored; scanners leave empty ones out."""
        return all(bool((plane.counts > 0).all()) for plane in self.planes)

    @property
    def stored_end(self) -> int:
        """Bytes that the file must have, by the segments that lie last."""
        return max(
            int((plane.offsets + plane.counts)[plane.counts > 0].max(initial=0))
            for plane in self.planes
        )

    @property
    def is_remote(self) -> bool:
        """Whether its segments lie at an address, so that many are to be fetched at once."""
        return self.planes[0].file.is_remote

    def prefetch(self, places: Iterator[tuple[int, int]]) -> list[tuple[int, int]]:
        """Fetch the next segments together, as many as memory allows; return which.

        Parameters
        ----------
        places
            Row and column of each that will be read, in this order.
        """
        parts: dict[PositionedBytes, list[tuple[int, int]]] = {}
        fetched, count = [], 0
        for row, column in places:
            for plane in self.planes:
                index = row * self.columns + column
                start, length = int(plane.offsets[index]), int(plane.counts[index])
                parts.setdefault(plane.file, []).append((start, start + length))
                count += length
            fetched.append((row, column))
            if count >= LUMP_BYTES:
                break
        for file, ranges in parts.items():
            file.prefetch(ranges)
        return fetched

    def segment(self, row: int, column: int) -> NDArray[np.uint8] | None:
        """Read and decode one segment, (h, w, samples); None when it is not stored."""
        parts = []
        for plane in self.planes:
            index = row * self.columns + column
            offset, count = int(plane.offsets[index]), int(plane.counts[index])
            if count == 0:
                return None
            data = plane.file.read(offset, count)
            if len(data) < count:
                raise DamagedSlideError(
                    f"{plane.file.name} ends inside a tile; copy it again from the scanner"
                )
            parts.append(plane.decode(data, plane.first + index))
        pixels = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)
        return 255 - pixels if self.inverted else pixels


def tiff_level(series: tifffile.TiffPageSeries, files: dict[Path, PositionedBytes]) -> TiffLevel:
    """Describe one level of a tifffile series.

    Parameters
    ----------
    series : tifffile.TiffPageSeries
        One level, with axes YX, YXS, SYX or CYX.
    files : dict
        Files open so far, by path; those this level needs are added.

    Raises
    ------
    NotASlideError
        When the pixels are not 8-bit grey or RGB, with their kind in one line.
    """
    page = series.keyframe
    _check_pixels(series, page)
    tile_width = page.tilewidth if page.is_tiled else page.imagewidth
    tile_height = page.tilelength if page.is_tiled else min(page.rowsperstrip, page.imagelength)
    level = TiffLevel(
        width=page.imagewidth,
        height=page.imagelength,
        tile_width=tile_width,
        tile_height=tile_height,
        planes=(),
        tiled=bool(page.is_tiled),
        plainly_coded=page.compression in _SELF_DECODED,
        inverted=page.photometric == _MIN_IS_WHITE,
    )
    pages = list(series.pages)
    if any(stored is None for stored in pages):
        raise DamagedSlideError(
            f"{page.parent.filename} refers to files that are not there; put them beside it"
        )
    if page.compression == _UNCOMPRESSED and page.is_contiguous and not page.is_tiled:
        return _raw_strips(level, pages, page, files)
    planes = [plane for stored in pages for plane in _planes(level, stored, page, files)]
    return replace(level, planes=tuple(planes))


def _check_pixels(series: tifffile.TiffPageSeries, page: tifffile.TiffPage) -> None:
    name = page.parent.filename
    colours = {"YX": 1, "YXS": series.shape[-1], "SYX": series.shape[0], "CYX": series.shape[0]}
    samples = colours.get(series.axes)
    fix = "export it as 8-bit RGB"
    if samples is None:
        raise NotASlideError(f"{name} is a stack of images (axes {series.axes}), not a slide")
    if series.dtype != np.uint8:
        raise NotASlideError(f"{name} has {series.dtype} pixels, not 8-bit RGB; {fix}")
    if samples > 4 or (series.axes == "CYX" and samples != 3):
        raise NotASlideError(f"{name} has {samples} channels, not RGB; {fix}")
    if page.photometric not in _READABLE_PHOTOMETRICS:
        kind = getattr(page.photometric, "name", page.photometric)
        raise NotASlideError(f"{name} has {kind} colours, not RGB; {fix}")
    if page.photometric == _YCBCR and page.compression not in _JPEG_CODECS:
        raise NotASlideError(f"{name} has YCbCr colours without JPEG; {fix}")


def _planes(
    level: TiffLevel,
    stored: Any,  # TiffPage or TiffFrame, which share no base class
    page: tifffile.TiffPage,
    files: dict[Path, PositionedBytes],
) -> list[Plane]:
    file = _open_file(stored, files)
    offsets = np.asarray(stored.dataoffsets, dtype=np.int64)
    counts = np.asarray(stored.databytecounts, dtype=np.int64)
    count = level.rows * level.columns
    separate = page.planarconfig == 2 and page.samplesperpixel > 1
    repeats = page.samplesperpixel if separate else 1
    listed = min(len(offsets), len(counts))
    if listed < count * repeats:
        raise DamagedSlideError(
            f"{file.name} lists {listed} of its {count * repeats} tiles; copy it again"
        )
    if level.tile_width * level.tile_height * page.samplesperpixel > _LARGEST_SEGMENT:
        raise NotASlideError(
            f"{file.name} is stored in one piece of {level.width} x {level.height} px; "
            "convert it to a tiled TIFF"
        )
    decode = _decoder(stored, page, (level.tile_width, level.tile_height))
    return [
        Plane(file, offsets[first : first + count], counts[first : first + count], first, decode)
        for first in range(0, count * repeats, count)
    ]


def _decoder(stored: Any, page: tifffile.TiffPage, size: tuple[int, int]) -> Decode:
    decode = page.decode  # made here: making it on first use is not safe between threads
    arguments: dict[str, bytes | None] = {}
    if page.compression in _JPEG_CODECS:
        arguments = {"jpegtables": stored.jpegtables, "jpegheader": page.jpegheader}

    def decoded(data: bytes, index: int) -> NDArray[np.uint8]:
        _check_coded_size(data, size)
        segment = decode(data, index, **arguments)[0]
        if segment is None:
            raise ValueError("no pixels")
        return np.asarray(segment[0], dtype=np.uint8)

    return decoded


def _check_coded_size(data: bytes, size: tuple[int, int]) -> None:
    """Refuse a picture much larger than its place before memory is taken for it."""
    coded = coded_size(data)
    if coded is not None and coded[0] * coded[1] > _MAX_SURPLUS * size[0] * size[1]:
        raise ValueError(f"it is {coded[0]} x {coded[1]} px instead of {size[0]} x {size[1]}")


def _raw_strips(
    level: TiffLevel,
    pages: list[Any],
    page: tifffile.TiffPage,
    files: dict[Path, PositionedBytes],
) -> TiffLevel:
    """Cut uncompressed pixels into strips of about 1 MiB, however the file calls them."""
    separate = page.planarconfig == 2 and page.samplesperpixel > 1
    samples = 1 if separate else page.samplesperpixel
    row_bytes = level.width * samples
    for stored in pages:
        _check_raw_length(stored, level.height * level.width * page.samplesperpixel, files)
    rows = max(1, min(level.height, _RAW_STRIP_BYTES // row_bytes))
    starts = np.arange(0, level.height, rows, dtype=np.int64)
    counts = np.minimum(rows, level.height - starts) * row_bytes
    planes = []
    for stored in pages:
        for colour in range(page.samplesperpixel if separate else 1):
            first = int(stored.dataoffsets[0]) + colour * level.height * row_bytes
            offsets = first + starts * row_bytes
            planes.append(
                Plane(
                    _open_file(stored, files), offsets, counts, 0, _unpacker(level.width, samples)
                )
            )
    return replace(level, tile_height=rows, planes=tuple(planes))


def _check_raw_length(stored: Any, count: int, files: dict[Path, PositionedBytes]) -> None:
    """Refuse a page of more bytes than its file before every row of it is listed."""
    file, needed = _open_file(stored, files), int(stored.dataoffsets[0]) + count
    if needed > file.size:
        raise DamagedSlideError(cut_short(file, needed))


def cut_short(file: PositionedBytes, needed: int) -> str:
    """Return the message about a file that ends before the bytes it needs."""
    return f"{file.name} is cut short: it has {file.size} of {needed} bytes; copy it again"


def _unpacker(width: int, samples: int) -> Decode:
    def unpack(data: bytes, index: int) -> NDArray[np.uint8]:
        return np.frombuffer(data, dtype=np.uint8).reshape(-1, width, samples)

    return unpack


def _open_file(stored: Any, files: dict[Path, PositionedBytes]) -> PositionedBytes:
    path = slide_path(stored.parent.filehandle.path)
    if path not in files:
        files[path] = positioned_bytes(path)
    return files[path]


_JPEG_2000_START = b"\xff\x4f\xff\x51"
_JPEG_2000_BOX = b"\x00\x00\x00\x0cjP"
_BOXES_END = 4096
_JPEG_START = b"\xff\xd8"
# Frame headers of all JPEG processes; 0xC4, 0xC8 and 0xCC are tables in the same range.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xDA)})
_SCAN = 0xDA


def coded_size(data: bytes) -> tuple[int, int] | None:
    """Return (width, height) of a JPEG or JPEG 2000 picture, px; None for anything else.

    Decoders take this size for true and allocate it, whatever the TIFF around it says.
    """
    try:
        if data.startswith(_JPEG_START):
            return _jpeg_size(data)
        if data.startswith((_JPEG_2000_START, _JPEG_2000_BOX)):
            return _jpeg_2000_size(data, data.index(_JPEG_2000_START, 0, _BOXES_END))
    except (struct.error, IndexError, ValueError):
        pass
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    place = len(_JPEG_START)
    while (place := data.find(b"\xff", place)) >= 0:
        marker = data[place + 1]
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, place + 5)
            return width, height
        if marker == _SCAN:
            return None
        if marker in {0x00, 0xFF}:  # no marker: decoders look for the next one, too
            place += 1
        elif marker in _WITHOUT_LENGTH:
            place += 2
        else:
            place += 2 + struct.unpack_from(">H", data, place + 2)[0]
    return None


def _jpeg_2000_size(data: bytes, start: int) -> tuple[int, int]:
    right, bottom, left, top = struct.unpack_from(">IIII", data, start + 8)
    return right - left, bottom - top
