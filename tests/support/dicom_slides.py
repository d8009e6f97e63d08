"""DICOM whole-slide images made up for the tests, as OpenSlide reads them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

from support.slides import Image

WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
ANNOTATIONS = "1.2.840.10008.5.1.4.1.1.91.1"
_EXPLICIT, _IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
_LONG = {"OB", "OW", "SQ", "UN", "UT"}
_ROOT = "1.2.826.0.1.3680043.9.7433.99"

Value = str | int | bytes | list[list["Element"]]
Element = tuple[int, str, Value]


def element(
    tag: int, vr: str, value: Value, implicit: bool = False, endless: bool = False
) -> bytes:
    """Encode one element; sequences with lengths, or ended by delimiters."""
    if vr == "SQ":
        data = b"".join(item(inner, implicit, endless) for inner in value)
        data += struct.pack("<HHI", 0xFFFE, 0xE0DD, 0) if endless else b""
    elif vr == "US":
        data = struct.pack("<H", value)
    elif vr == "UL":
        data = struct.pack("<I", value)
    else:
        data = value if isinstance(value, bytes) else str(value).encode()
        data += (b"\0" if vr in {"UI", "OB"} else b" ") * (len(data) % 2)
    length = 0xFFFFFFFF if vr == "SQ" and endless else len(data)
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if implicit:
        return head + struct.pack("<I", length) + data
    if vr in _LONG:
        return head + vr.encode() + struct.pack("<HI", 0, length) + data
    return head + vr.encode() + struct.pack("<H", length) + data


def item(elements: list[Element], implicit: bool, endless: bool) -> bytes:
    data = b"".join(element(*one, implicit, endless) for one in elements)
    if endless:
        ends = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
        return struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + data + ends
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(data)) + data


def write_dicom(
    path: Path,
    elements: list[Element],
    sop_class: str,
    implicit: bool = False,
    endless: bool = False,
) -> Path:
    """Write a DICOM file of any kind."""
    instance = f"{_ROOT}.1.{zlib.crc32(path.name.encode())}"
    meta = b"".join(
        element(*one)
        for one in (
            (0x00020001, "OB", b"\0\1"),
            (0x00020002, "UI", sop_class),
            (0x00020003, "UI", instance),
            (0x00020010, "UI", _IMPLICIT if implicit else _EXPLICIT),
            (0x00020012, "UI", _ROOT),
        )
    )
    rest = [*elements, (0x00080016, "UI", sop_class), (0x00080018, "UI", instance)]
    body = b"".join(element(*one, implicit, endless) for one in sorted(rest, key=lambda e: e[0]))
    path.write_bytes(bytes(128) + b"DICM" + element(0x00020000, "UL", len(meta)) + meta + body)
    return path


def write_dicom_level(
    path: Path,
    image: Image,
    series: str,
    mpp: float = 0.5,
    tile: int = 64,
    kind: str = "VOLUME",
    implicit: bool = False,
    endless: bool = False,
    icc_profile: bytes = b"\xfe\xff\xdd\xe0" * 64,
) -> Path:
    """Write one level of a slide, stored in whole tiles, its last ones padded with black."""
    height, width = image.shape[:2]
    rows, columns = -(-height // tile), -(-width // tile)
    whole = np.zeros((rows * tile, columns * tile, 3), np.uint8)
    whole[:height, :width] = image
    frames = whole.reshape(rows, tile, columns, tile, 3).swapaxes(1, 2)
    spacing = f"{mpp / 1000:.8f}"
    measures = [[(0x00180050, "DS", "0.001"), (0x00280030, "DS", f"{spacing}\\{spacing}")]]
    # A colour profile that, like a real one, lies before what is looked for, and holds anything.
    path_items = [[(0x00282000, "OB", icc_profile), (0x00480106, "SH", "1")]]
    elements: list[Element] = [
        (0x00080008, "CS", f"ORIGINAL\\PRIMARY\\{kind}\\NONE"),
        (0x00080060, "CS", "SM"),
        (0x0020000D, "UI", f"{_ROOT}.2"),
        (0x0020000E, "UI", f"{_ROOT}.3.{series}"),
        (0x00209311, "CS", "TILED_FULL"),
        (0x00280002, "US", 3),
        (0x00280004, "CS", "RGB"),
        (0x00280006, "US", 0),
        (0x00280008, "IS", rows * columns),
        (0x00280010, "US", tile),
        (0x00280011, "US", tile),
        (0x00280100, "US", 8),
        (0x00280101, "US", 8),
        (0x00280102, "US", 7),
        (0x00280103, "US", 0),
        (0x00480006, "UL", width),
        (0x00480007, "UL", height),
        (0x00480105, "SQ", path_items),
        (0x52009229, "SQ", [[(0x00289110, "SQ", measures)]]),
        (0x7FE00010, "OB", frames.tobytes()),
    ]
    return write_dicom(path, elements, WHOLE_SLIDE, implicit, endless)
