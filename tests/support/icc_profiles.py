"""ICC profiles made up for the tests, of which it is known what they change."""

from __future__ import annotations

import struct

_D50 = (0.96420, 1.0, 0.82491)
_WIDE = {
    b"rXYZ": (0.60974, 0.31111, 0.01947),
    b"gXYZ": (0.20528, 0.62567, 0.06087),
    b"bXYZ": (0.14919, 0.06322, 0.74457),
}
"""Primaries of Adobe RGB (1998), adapted to D50: purer red and green than those of sRGB."""


def wide_profile(description: str = "scanner", colours: bytes = b"RGB ") -> bytes:
    """Return a profile of an RGB device whose colours are purer, and darker by its curve."""
    tags = {
        b"desc": _described(description),
        b"wtpt": _xyz(*_D50),
        **{name: _xyz(*place) for name, place in _WIDE.items()},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _gamma(2.6)),
    }
    at, table, content = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        table += name + struct.pack(">II", at + len(content), len(data))
        content += data
    body = struct.pack(">I", len(tags)) + table + content
    head = struct.pack(
        ">I4sI4s4s4s", 128 + len(body), b"test", 0x02400000, b"scnr", colours, b"XYZ "
    )
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", *map(_fixed, _D50))
    return head.ljust(128, b"\0") + body


def _described(text: str) -> bytes:
    name = text.encode("ascii") + b"\0"
    data = b"desc" + bytes(4) + struct.pack(">I", len(name)) + name + bytes(12 + 67)
    return data.ljust(-(-len(data) // 4) * 4, b"\0")


def _xyz(*place: float) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *map(_fixed, place))


def _gamma(value: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IHxx", 1, round(value * 256))


def _fixed(value: float) -> int:
    return round(value * 65536)
