"""What a CZI file states of its tiles, looked at before the library that reads them believes it.

A file states how many dimensions each tile has, in its directory and again in the head of the tile,
and how many bytes. The library believes any number, and reads beyond its memory. Whatever else may
be wrong it finds itself.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

import numpy as np

from napari_smse.slides.region import Region

_DIRECTORY: Final = b"ZISRAWDIRECTORY"
_DIRECTORY_AT: Final = 84
_COUNT_AT, _ENTRIES_AT = 32, 160
_ENTRY: Final = b"DV"
_ENTRY_HEAD, _ENTRY_DIMENSION = 32, 20
_POSITION_AT: Final = 6
_BYTES_AT, _ENTRY_IN_TILE = 40, 48
_MAX_DIMENSIONS: Final = 40
_ALIKE: Final = 0.02
"""Share by which the zoom of a tile may be off, as its size is a whole number of px."""
_FINER: Final = 2.0
"""The library goes on to tiles that are up to this many times finer than the coarsest it takes."""


def tile_positions(path: Path) -> list[int]:
    """Return where each tile of the directory lies in the file, bytes, up to one of another kind.

    Raises
    ------
    ValueError
        If an entry states what makes the library crash.
    """
    positions: list[int] = []
    with path.open("rb") as file:
        start = _number(file, "<q", _DIRECTORY_AT)
        file.seek(max(0, start))
        if file.read(len(_DIRECTORY)) != _DIRECTORY:
            return positions
        count = _number(file, "<i", start + _COUNT_AT)
        at = start + _ENTRIES_AT
        for _ in range(count):
            file.seek(at)
            entry = file.read(_ENTRY_HEAD)
            if len(entry) < _ENTRY_HEAD or not entry.startswith(_ENTRY):
                break
            positions.append(struct.unpack_from("<q", entry, _POSITION_AT)[0])
            at += _ENTRY_HEAD + _ENTRY_DIMENSION * _sound_dimensions(entry)
    return positions


class TileHeads:
    """Looks at the head of each tile once, when it is about to be read: opening costs nothing.

    Parameters
    ----------
    path
        The file.
    boxes
        Where the tiles lie, px of the file's plane.
    zooms
        Px of each tile for a level-0 px.
    positions
        Where each lies in the file, bytes.
    """

    def __init__(
        self,
        path: Path,
        boxes: Sequence[Region],
        zooms: Sequence[float],
        positions: Sequence[int],
    ) -> None:
        self._path = path
        corners = [(box.x, box.y, box.right, box.bottom) for box in boxes]
        self._left, self._top, self._right, self._bottom = np.array(corners).T
        self._zooms, self._positions = np.array(zooms), np.array(positions)
        self._unseen = np.ones(len(boxes), dtype=bool)

    def require_sound(self, box: Region, zoom: float) -> None:
        """Look at all tiles that the library may read of a box at a zoom.

        Parameters
        ----------
        box
            What is to be read, px of the file's plane.
        zoom
            Px to read for a level-0 px.

        Raises
        ------
        ValueError
            If one states what makes the library crash.
        """
        across = (self._left < box.right) & (self._right > box.x)
        down = (self._top < box.bottom) & (self._bottom > box.y)
        read = across & down & (self._zooms >= zoom * (1 - _ALIKE))
        # It begins with the coarsest that are fine enough.
        coarsest = self._zooms[read & (self._zooms >= zoom)].min(initial=np.inf)
        if np.isfinite(coarsest):
            read &= self._zooms < coarsest * _FINER * (1 - _ALIKE)
        unseen = np.flatnonzero(read & self._unseen)
        if not len(unseen):
            return
        with self._path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            for position in self._positions[unseen].tolist():
                _require_sound_tile(file, position, size)
        self._unseen[unseen] = False


def _require_sound_tile(file: IO[bytes], position: int, size: int) -> None:
    if not 0 <= position < size:
        raise ValueError(f"a tile lies at byte {position} of {size}")
    file.seek(position)
    head = file.read(_ENTRY_IN_TILE + _ENTRY_HEAD)
    if len(head) < _ENTRY_IN_TILE + _ENTRY_HEAD:
        return
    (tile_bytes,) = struct.unpack_from("<q", head, _BYTES_AT)
    if not 0 <= tile_bytes <= size - position:
        raise ValueError(f"a tile states {tile_bytes} bytes")
    entry = head[_ENTRY_IN_TILE:]
    if entry.startswith(_ENTRY):
        _sound_dimensions(entry)


def _sound_dimensions(entry: bytes) -> int:
    (dimensions,) = struct.unpack_from("<i", entry, _ENTRY_HEAD - 4)
    if not 0 <= dimensions <= _MAX_DIMENSIONS:
        raise ValueError(f"a tile states {dimensions} dimensions")
    return int(dimensions)


def _number(file: IO[bytes], kind: str, at: int) -> int:
    file.seek(at)
    (number,) = struct.unpack(kind, file.read(struct.calcsize(kind)))
    return int(number)
