"""What a DICOM file says of itself before its pixels.

OpenSlide tells this only of the level it puts first, and of no file that is not an image.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Final

from napari_smse.slides.level_steps import Spacing

WHOLE_SLIDE_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.77.1.6"
"""SOP class of the images OpenSlide reads."""

_KINDS: Final = {
    "1.2.840.10008.1.3.10": "a list of files (DICOMDIR)",
    "1.2.840.10008.5.1.4.1.1.66.4": "a segmentation",
    "1.2.840.10008.5.1.4.1.1.30": "a parametric map",
    "1.2.840.10008.5.1.4.1.1.91.1": "annotations of a slide",
    "1.2.840.10008.5.1.4.1.1.77.1.2": "a microscope photograph",
    "1.2.840.10008.5.1.4.1.1.77.1.3": "a microscope photograph",
}
_REPORTS = "1.2.840.10008.5.1.4.1.1.88."

_MAGIC = b"DICM"
_PREAMBLE = 128
_IMPLICIT = "1.2.840.10008.1.2"
_NOT_FOLLOWED = {"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"}  # deflated, big-endian

_MEDIA_SOP_CLASS, _TRANSFER_SYNTAX = 0x00020002, 0x00020010
_IMAGE_TYPE, _SOP_CLASS, _MODALITY, _SERIES = 0x00080008, 0x00080016, 0x00080060, 0x0020000E
_COLUMNS, _ROWS = 0x00480006, 0x00480007
_SHARED_GROUPS, _MEASURES, _SPACING = 0x52009229, 0x00289110, 0x00280030
_TEXTS = {_MEDIA_SOP_CLASS, _TRANSFER_SYNTAX, _IMAGE_TYPE, _SOP_CLASS, _MODALITY, _SERIES, _SPACING}
_NUMBERS = {_COLUMNS, _ROWS}
_ENTERED = {_SHARED_GROUPS, _MEASURES}

_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_META_GROUP = 2
_UNDEFINED = 0xFFFFFFFF
_SHORTEST = 8
_LONG_FORMS = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR"}
_LONG_FORMS |= {b"UT", b"UV"}
_LONGEST_VALUE = 1024
_MOST_ELEMENTS = 100_000
_DEEPEST = 16


@dataclass(frozen=True)
class DicomHeader:
    """What tells DICOM files apart.

    Parameters
    ----------
    sop_class : str
        UID of what kind of object it is.
    modality : str
        Such as "SM" for slide microscopy or "ANN" for annotations.
    series : str
        SeriesInstanceUID: files that share it, in one folder, are one slide.
    flavour : str
        "VOLUME" for a level of a slide; "LABEL", "OVERVIEW" or "THUMBNAIL".
    width, height : int
        Of the whole image, px; 0 if it is none.
    spacing : tuple of float or None
        Size of a pixel across and down, um.
    """

    sop_class: str
    modality: str
    series: str
    flavour: str
    width: int
    height: int
    spacing: Spacing | None


def is_dicom(file: Path) -> bool:
    """Tell from its first bytes whether a file is DICOM."""
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return stream.read(_PREAMBLE + len(_MAGIC))[_PREAMBLE:] == _MAGIC


def kind_of_object(header: DicomHeader) -> str:
    """Say what a DICOM file that is no slide holds."""
    if header.sop_class.startswith(_REPORTS):
        return "a DICOM report"
    kind = _KINDS.get(header.sop_class)
    if kind is not None:
        return f"{kind} (DICOM)"
    return f"a DICOM object of modality {header.modality or 'unknown'} ({header.sop_class})"


def read_header(file: Path) -> DicomHeader | None:
    """Return a DICOM file's header; None if it is another file, or its header is damaged.

    Raises
    ------
    OSError
        The file is gone, or cannot be read.
    """
    status = file.stat()
    return _read_header(str(file), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _read_header(file: str, size: int, changed: int) -> DicomHeader | None:
    path = Path(file)
    if not is_dicom(path):
        return None
    with path.open("rb") as stream:
        try:
            found = _Elements(stream, size).collect()
        except (struct.error, ValueError):
            return None
    return _header(found)


def _header(found: dict[int, str | int]) -> DicomHeader | None:
    texts = {tag: str(found.get(tag, "")) for tag in _TEXTS}
    if not texts[_SERIES] and texts[_MEDIA_SOP_CLASS] in {WHOLE_SLIDE_IMAGE, ""}:
        return None  # cut short: every image has one
    return DicomHeader(
        sop_class=texts[_SOP_CLASS] or texts[_MEDIA_SOP_CLASS],
        modality=texts[_MODALITY],
        series=texts[_SERIES],
        flavour="".join(texts[_IMAGE_TYPE].split("\\")[2:3]),
        width=int(found.get(_COLUMNS, 0)),
        height=int(found.get(_ROWS, 0)),
        spacing=_spacing(texts[_SPACING]),
    )


def _spacing(text: str) -> Spacing | None:
    """Return um across and down from mm down and across, as DICOM writes them."""
    try:
        down, across = (1000 * float(part) for part in text.split("\\"))
    except ValueError:
        return None
    return (across, down) if 0 < across < float("inf") and 0 < down < float("inf") else None


class _Elements:
    """Goes through a file's elements and keeps the wanted ones; the rest is jumped over."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream, self._size = stream, size
        self._left = _MOST_ELEMENTS
        self._found: dict[int, str | int] = {}

    def collect(self) -> dict[int, str | int]:
        """Return values by tag; of several the first, which lies outside sequences.

        Raises
        ------
        struct.error, ValueError
            The file ends, or breaks DICOM's rules, before what is wanted.
        """
        self._implicit = False
        self._stream.seek(_PREAMBLE + len(_MAGIC))
        while self._next_tag() >> 16 == _META_GROUP:  # always with explicit types
            self._read_element(0, keep=True)
        syntax = self._found.get(_TRANSFER_SYNTAX)
        self._implicit = syntax == _IMPLICIT
        if syntax not in _NOT_FOLLOWED:
            self._read_until(self._size, 0, keep=True)
        return self._found

    def _read_until(self, end: int, depth: int, *, keep: bool) -> None:
        """Read elements up to a place, the end of an item, or the last one wanted."""
        while self._stream.tell() + _SHORTEST <= end:
            tag = self._next_tag()
            if depth == 0 and tag > _SHARED_GROUPS:
                return
            if tag == _ITEM_END:
                self._jump(_SHORTEST)
                return
            self._read_element(depth, keep=keep)

    def _read_element(self, depth: int, *, keep: bool) -> None:
        tag, length = self._read_head()
        entered = keep and tag in _ENTERED
        if entered or length == _UNDEFINED:
            self._read_sequence(length, depth + 1, keep=entered)
        elif keep and tag in _TEXTS and length <= _LONGEST_VALUE:
            self._found.setdefault(tag, self._read(length).decode("latin-1").strip(" \0"))
        elif keep and tag in _NUMBERS and length <= _LONGEST_VALUE:
            self._found.setdefault(tag, int.from_bytes(self._read(length), "little"))
        else:
            self._jump(length)

    def _read_sequence(self, length: int, depth: int, *, keep: bool) -> None:
        if depth > _DEEPEST:
            raise ValueError("sequences lie too deep in each other")
        end = self._size if length == _UNDEFINED else self._stream.tell() + length
        while self._stream.tell() + _SHORTEST <= end:
            tag = self._read_tag()
            (item_length,) = struct.unpack("<I", self._stream.read(4))
            if tag == _SEQUENCE_END:
                return
            if tag != _ITEM:
                raise ValueError("a sequence holds what is no item")
            if item_length == _UNDEFINED:
                self._read_until(self._size, depth, keep=keep)
            elif keep:
                self._read_until(self._stream.tell() + item_length, depth, keep=True)
            else:
                self._jump(item_length)

    def _read_head(self) -> tuple[int, int]:
        """Return tag and length of an element, whose value comes next."""
        tag = self._read_tag()
        if self._implicit:
            return tag, int(struct.unpack("<I", self._stream.read(4))[0])
        form = self._stream.read(2)
        layout = "<2xI" if form in _LONG_FORMS else "<H"
        data = self._stream.read(struct.calcsize(layout))
        return tag, int(struct.unpack(layout, data)[0])

    def _next_tag(self) -> int:
        """Return the tag that comes next and stay before it."""
        place = self._stream.tell()
        tag = self._read_tag()
        self._stream.seek(place)
        return tag

    def _read_tag(self) -> int:
        self._left -= 1
        if self._left < 0:
            raise ValueError("it has too many elements")
        group, number = struct.unpack("<HH", self._stream.read(4))
        return int(group) << 16 | int(number)

    def _read(self, length: int) -> bytes:
        data = self._stream.read(length)
        if len(data) < length:
            raise ValueError("it ends inside an element")
        return data

    def _jump(self, length: int) -> None:
        place = self._stream.tell() + length
        if place > self._size:
            raise ValueError("it ends inside an element")
        self._stream.seek(place)
