"""Heat maps as Deep Zoom pictures in colour, for OpenSeadragon to lay over the slide.

Pillow writes the tiles: what is needed of the format are their names and a few lines of XML.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_smse.atomic_write import atomic_folder, atomic_path, require_free
from napari_smse.palette import map_colours
from napari_smse.results.exchange.map_stack import MapStack, map_stacks
from napari_smse.results.exchange.result_folder import ResultFolder
from napari_smse.results.folder import folder_name
from napari_smse.scoring import HeatMap, shown_class

_TILE: Final = 256
_PARTS: Final = 8
"""Pixels that a cell has at least, along either edge: browsers blur what they magnify."""
_OPACITY: Final = 0.6
_XML: Final = """<?xml version="1.0" encoding="UTF-8"?>
<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="png" Overlap="0"
       TileSize="{tile}">
  <Size Width="{width}" Height="{height}"/>
</Image>
"""


def export(results: ResultFolder, out: Path, *, overwrite: bool = False) -> list[Path]:
    """Write the maps of each scale, and their mean, as Deep Zoom pictures of the whole slide.

    Of two classes one has a picture, as in the viewer; of more, each has.

    Parameters
    ----------
    results
        Of a slide.
    out
        Folder to write into.
    overwrite
        Pictures of this slide that lie there may be replaced.

    Returns
    -------
    list of Path
        ``NAME_SCALE_CLASS.dzi``, each with a folder ``NAME_SCALE_CLASS_files``.

    Raises
    ------
    OutputError
        One lies there already, or cannot be written.
    """
    slide = results.record.slide
    pictures = {
        out / f"{results.stem}_{stack.file_name}_{folder_name(name)}.dzi": DeepZoom.from_stack(
            stack, name, (slide.width, slide.height)
        )
        for stack in map_stacks(results)
        for name in _shown(stack)
    }
    require_free(
        [one for path in pictures for one in (path, _tiles_folder(path))], overwrite=overwrite
    )
    for path, picture in pictures.items():
        picture.write(path)
    return list(pictures)


def _shown(stack: MapStack) -> tuple[str, ...]:
    return stack.classes if len(stack.classes) != 2 else (shown_class(stack.classes),)


def _tiles_folder(path: Path) -> Path:
    return path.with_name(f"{path.stem}_files")


@dataclass(frozen=True, eq=False)
class DeepZoom:
    """The map of one class in colour, with the outlines of the slide.

    Attributes
    ----------
    levels
        The map, and coarser ones of it.
    ramp
        ``(steps, 4)`` RGBA 0..1 for probabilities from 0 to 1.
    size
        Width and height of the slide, level-0 px.
    """

    levels: tuple[HeatMap, ...]
    ramp: NDArray[np.float32]
    size: tuple[int, int]

    @classmethod
    def from_stack(cls, stack: MapStack, class_name: str, size: tuple[int, int]) -> DeepZoom:
        """Colour the map of one class as the viewer does."""
        number = stack.classes.index(class_name)
        given = dict(zip(stack.classes, stack.rgb, strict=True))
        ramp = map_colours(stack.classes, class_name, given).ramp() * (1, 1, 1, _OPACITY)
        levels = tuple(one.heat_map(number) for one in stack.pyramid())
        return cls(levels, np.asarray(ramp, dtype=np.float32), size)

    @cached_property
    def pixel(self) -> float:
        """Edge of a pixel of the picture, level-0 px: a power of two, where cells have several."""
        return float(2 ** max(0, math.floor(math.log2(self.levels[0].cell / _PARTS))))

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the picture, px."""
        width, height = (math.ceil(side / self.pixel) for side in self.size)
        return height, width

    @property
    def level_count(self) -> int:
        """Number of levels of Deep Zoom: the first is one pixel."""
        return math.ceil(math.log2(max(self.shape))) + 1

    def write(self, path: Path) -> None:
        """Write XML and tiles, replacing what lies there; the XML last, so that it is whole.

        Raises
        ------
        OutputError
            They cannot be written.
        """
        with atomic_folder(_tiles_folder(path), overwrite=True) as part:
            for level in range(self.level_count):
                folder = part / str(level)
                folder.mkdir(parents=True)
                for (column, row), tile in self._tiles(level):
                    Image.fromarray(tile).save(folder / f"{column}_{row}.png")
            path.unlink(missing_ok=True)
        height, width = self.shape
        with atomic_path(path) as part:
            part.write_text(_XML.format(tile=_TILE, width=width, height=height), encoding="utf-8")

    def _tiles(self, level: int) -> Iterator[tuple[tuple[int, int], NDArray[np.uint8]]]:
        step = 2 ** (self.level_count - 1 - level)
        height, width = (math.ceil(side / step) for side in self.shape)
        for row, top in enumerate(range(0, height, _TILE)):
            for column, left in enumerate(range(0, width, _TILE)):
                bottom, right = min(top + _TILE, height), min(left + _TILE, width)
                yield (column, row), self._drawn(left, top, right, bottom, self.pixel * step)

    def _drawn(
        self, left: int, top: int, right: int, bottom: int, pixel: float
    ) -> NDArray[np.uint8]:
        """Return the colours (h, w, 4) of a box of pixels that have such an edge, level-0 px."""
        fitting = [one for one in self.levels if one.cell <= pixel] or self.levels[:1]
        x, y = np.meshgrid(
            (np.arange(left, right) + 0.5) * pixel, (np.arange(top, bottom) + 0.5) * pixel
        )
        values = fitting[-1].at(x, y)
        steps = len(self.ramp) - 1
        index = np.rint(np.clip(np.nan_to_num(values), 0, 1) * steps).astype(np.intp)
        colours = self.ramp[index]
        colours[~np.isfinite(values)] = 0
        return np.rint(colours * 255).astype(np.uint8)
