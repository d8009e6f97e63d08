"""How large the picture in a compressed segment claims to be, read from its first bytes."""

from __future__ import annotations

import struct

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
