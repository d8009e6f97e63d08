"""The tiles that a CZI file stores of a scene, and the levels that they make."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.slides.backends.base import Level
from napari_smse.slides.backends.czi_heads import TileHeads
from napari_smse.slides.region import Region

SCENE: Final = "S"
_FOCUS: Final = "Z"
_CELLS: Final = 64
_MAX_TILE: Final = 2048
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredTile:
    """A stored tile: where it lies, in px of the file's plane, and its own size, px.

    ``place`` is its index along each dimension but x and y, ``position`` where it lies in the file,
    bytes; None where that is not known.
    """

    box: Region
    width: int
    height: int
    place: Mapping[str, int]
    pixel_type: str
    position: int | None

    @property
    def step(self) -> int:
        """Level-0 px that a px spans; 0 where that is no whole number."""
        step = round(self.box.width / max(1, self.width))
        off = (abs(self.box.width - step * self.width), abs(self.box.height - step * self.height))
        return step if max(off) < max(1, step) else 0

    def is_on(self, plane: Mapping[str, int]) -> bool:
        """Whether it lies on a plane; along a dimension that it has not, it lies on any."""
        return all(self.place.get(name, index) == index for name, index in plane.items())


def stored_tiles(reader: Any, positions: Sequence[int]) -> list[StoredTile]:
    """Return all tiles of a file, of all scenes and levels.

    Parameters
    ----------
    reader
        The library's.
    positions
        Where the tiles lie in the file, bytes; those that are not known are left out at the end.
    """
    tiles = []

    def add(index: int, info: Any) -> bool:
        box, size = info.logicalRect, info.physicalSize
        tiles.append(
            StoredTile(
                Region(box.x, box.y, box.w, box.h),
                size.w,
                size.h,
                info.coordinate.to_dict(),
                info.pixelType.name,
                positions[index] if index < len(positions) else None,
            )
        )
        return True

    reader.enumerate_subblocks(add)
    return tiles


def tile_heads(path: Path, tiles: Sequence[StoredTile]) -> TileHeads:
    """Return what looks at the heads of tiles before they are read."""
    known = [tile for tile in tiles if tile.position is not None and tile.box.width > 0]
    return TileHeads(
        path,
        [tile.box for tile in known],
        [tile.width / tile.box.width for tile in known],
        [tile.position for tile in known if tile.position is not None],
    )


def first_plane(tiles: Sequence[StoredTile], path: Path) -> dict[str, int]:
    """Return the first index along each dimension but that of scenes."""
    indices: dict[str, set[int]] = {}
    for tile in tiles:
        for dimension, index in tile.place.items():
            indices.setdefault(dimension, set()).add(index)
    planes = len(indices.get(_FOCUS, ()))
    if planes > 1:
        _log.warning("%s holds %d focal planes; the first is read", path.name, planes)
    return {name: min(found) for name, found in indices.items() if name != SCENE}


@dataclass(frozen=True)
class StoredLevel:
    """A level of a scene.

    Attributes
    ----------
    step
        Level-0 px that a px spans.
    corners
        Left, top, right and bottom of each tile, (n, 4), level px; a tile may lie partly outside.
    size
        Width and height, level px.
    tile_size
        The usual width and height of a tile, level px.
    """

    step: int
    corners: NDArray[np.int64]
    size: tuple[int, int]
    tile_size: tuple[int, int]

    @property
    def level(self) -> Level:
        """The level as a slide has it."""
        tile = [min(a, b, _MAX_TILE) for a, b in zip(self.tile_size, self.size, strict=True)]
        return Level(*self.size, float(self.step), *tile)

    def tiles_in(self, box: Region) -> Iterator[Region]:
        """Yield where each tile lies that has a part in a box, level px."""
        left, top, right, bottom = self.corners.T
        inside = (left < box.right) & (top < box.bottom) & (right > box.x) & (bottom > box.y)
        for x, y, x1, y1 in self.corners[inside].tolist():
            yield Region(x, y, x1 - x, y1 - y)


def stored_levels(box: Region, tiles: Sequence[StoredTile]) -> list[StoredLevel]:
    """Return level 0 of a scene, and the coarser ones whose tiles lie wherever those of it do.

    Parameters
    ----------
    box
        The scene, in px of the file's plane.
    tiles
        Of one plane of the scene; at least one of level 0.
    """
    by_step: dict[int, list[StoredTile]] = {}
    for tile in tiles:
        by_step.setdefault(tile.step, []).append(tile)
    full = _covered(box, by_step[1])
    return [
        _stored_level(box, step, by_step[step])
        for step in sorted(by_step)
        if step == 1 or (step > 1 and not (full & ~_covered(box, by_step[step])).any())
    ]


def _stored_level(box: Region, step: int, tiles: Sequence[StoredTile]) -> StoredLevel:
    places = [
        ((tile.box.x - box.x) // step, (tile.box.y - box.y) // step, tile.width, tile.height)
        for tile in tiles
    ]
    corners = np.array([(x, y, x + width, y + height) for x, y, width, height in places])
    ((tile_size, _),) = Counter((tile.width, tile.height) for tile in tiles).most_common(1)
    return StoredLevel(step, corners, (-(-box.width // step), -(-box.height // step)), tile_size)


def _covered(box: Region, tiles: Sequence[StoredTile]) -> NDArray[np.bool_]:
    """Tell at which points of a grid over a box there are tiles."""
    points = (np.arange(_CELLS) + 0.5) / _CELLS
    across, down = box.x + points * box.width, box.y + points * box.height
    covered = np.zeros((_CELLS, _CELLS), dtype=bool)
    for tile in tiles:
        left, right = np.searchsorted(across, (tile.box.x, tile.box.x + tile.box.width))
        top, bottom = np.searchsorted(down, (tile.box.y, tile.box.y + tile.box.height))
        covered[top:bottom, left:right] = True
    return covered
