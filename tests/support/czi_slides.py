"""CZI files that Zeiss's library writes, with levels in the way its scanners lay them down."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pylibCZIrw import czi

TILE = 100
_LEVEL = 1 << 24
"""Added to the places of a level's tiles, by which they are found in the file."""
_ENTRY = struct.Struct("<iifi")  # start, size, start coordinate, stored size
_PYRAMID_BYTE = 22
_COUNT_BYTE = 28
_ENTRIES = 32
_ENTRY_BYTES = 20


@dataclass(frozen=True)
class Scene:
    """Images of a scene, (height, width, 3) each, by the step of their level, and its corner."""

    images: Mapping[int, NDArray[np.generic]]
    left: int = 0
    top: int = 0


def write_czi(
    path: Path,
    *scenes: Scene,
    mpp: float | None = 0.5,
    compression: str = "uncompressed:",
    planes: int = 1,
) -> Path:
    """Write scenes; of several focal planes, all but the first are black."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metres = 0.0 if mpp is None else mpp * 1e-6
    with czi.create_czi(str(path), exist_ok=True, compression_options=compression) as file:
        for number, scene in enumerate(scenes):
            for plane in range(planes):
                _write_scene(file, scene, number, plane)
        file.write_metadata("a", scale_x=metres, scale_y=metres)
    _mark_levels(path)
    return path


def _write_scene(file: czi.CziWriter, scene: Scene, number: int, plane: int) -> None:
    for step, image in scene.images.items():
        shown = image[..., ::-1] * (plane == 0)
        for x, y, tile in _tiles(shown.astype(image.dtype)):
            place = (scene.left + x * step, scene.top + y * step)
            if step > 1:
                place = (place[0] + step * _LEVEL, place[1] + step * _LEVEL)
            file.write(tile, location=place, scene=number, plane={"Z": plane})


def _tiles(image: NDArray[np.generic]) -> Iterator[tuple[int, int, NDArray[np.generic]]]:
    for y in range(0, image.shape[0], TILE):
        for x in range(0, image.shape[1], TILE):
            yield x, y, image[y : y + TILE, x : x + TILE]


def _mark_levels(path: Path) -> None:
    """Make tiles of levels lie where they belong, which the library writes of level 0 only."""
    data = bytearray(path.read_bytes())
    at = data.find(b"DV")
    while at >= 0:
        (count,) = struct.unpack_from("<i", data, at + _COUNT_BYTE)
        if 0 < count <= 16:
            _mark(data, at, count)
        at = data.find(b"DV", at + 2)
    path.write_bytes(data)


def _mark(data: bytearray, at: int, count: int) -> None:
    for index in range(count):
        entry = at + _ENTRIES + _ENTRY_BYTES * index
        if bytes(data[entry : entry + 4]).rstrip(b"\0") not in {b"X", b"Y"}:
            continue
        start, _, _, stored = _ENTRY.unpack_from(data, entry + 4)
        step = round(start / _LEVEL)
        if step > 1:
            _ENTRY.pack_into(data, entry + 4, start - step * _LEVEL, stored * step, 0.0, stored)
            data[at + _PYRAMID_BYTE] = 2
