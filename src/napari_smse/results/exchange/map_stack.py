"""The heat maps of a slide as pictures of one grid: a channel a class, with coarser levels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from napari_smse.errors import OutputError
from napari_smse.palette import Colour, class_colours
from napari_smse.results.exchange.result_folder import ResultFolder
from napari_smse.results.folder import folder_name
from napari_smse.results.run_record import SlideRecord
from napari_smse.scoring import MULTI_SCALE_MEAN, HeatMap, ScaleScores, fuse
from napari_smse.scoring.calls import CallRule
from napari_smse.scoring.score_maps import name_scales

_COARSEST_PX: Final = 256
"""No level of a pyramid is halved that is no longer than this."""


def _rounded(um: float) -> float:
    """Return a length without what floats add to it: 56 um, not 55.99999999999999."""
    return float(f"{um:.12g}")


@dataclass(frozen=True)
class MapStack:
    """The maps of all classes at one scale.

    Attributes
    ----------
    name
        Of the scale: its objective power, such as ``20x``, or `MULTI_SCALE_MEAN`.
    classes
        Names, in the order of the channels.
    values
        ``(classes, rows, columns)`` float32, NaN where nothing was scored.
    x, y, cell
        Top-left corner of the first cell, and edge of a cell, level-0 px.
    slide_mpp
        um/px of level 0.
    colours
        Of the classes, RGB 0..255; those without one get a usual colour.
    slide
        Quick hash of the slide that the maps are of; None if that is not known.
    """

    name: str
    classes: tuple[str, ...]
    values: NDArray[np.float32]
    x: float
    y: float
    cell: float
    slide_mpp: float
    colours: tuple[Colour, ...] = ()
    slide: str | None = None

    @classmethod
    def from_maps(
        cls, name: str, classes: Sequence[str], maps: Sequence[HeatMap], slide: SlideRecord
    ) -> MapStack:
        """Put the maps of classes, all of one grid, on each other."""
        values = np.stack([one.values for one in maps])
        first = maps[0]
        return cls(
            name,
            tuple(classes),
            values,
            first.x,
            first.y,
            first.cell,
            slide.mpp,
            slide=slide.quick_hash,
        )

    @property
    def cell_um(self) -> float:
        """Edge of a cell, um."""
        return _rounded(self.cell * self.slide_mpp)

    @property
    def origin_um(self) -> tuple[float, float]:
        """Middle of the first cell, (y, x) in um from the middle of the slide's first pixel."""
        half = (self.cell - 1) / 2
        y, x = (_rounded((side + half) * self.slide_mpp) for side in (self.y, self.x))
        return y, x

    @property
    def corner_um(self) -> tuple[float, float]:
        """Top-left corner, (y, x) in um from the slide's."""
        return _rounded(self.y * self.slide_mpp), _rounded(self.x * self.slide_mpp)

    @property
    def rgb(self) -> tuple[Colour, ...]:
        """Colour of each class, RGB 0..255."""
        given = dict(zip(self.classes, self.colours, strict=False))
        return tuple(class_colours(self.classes, given).values())

    @property
    def file_name(self) -> str:
        """Name of the scale as a part of a file's name: ``20x``, ``0.5um`` or ``mean``."""
        short = "mean" if self.name == MULTI_SCALE_MEAN else self.name.replace(" µm/px", "um")
        return folder_name(short)

    def heat_map(self, number: int) -> HeatMap:
        """Return the map of one class."""
        return HeatMap(self.values[number], self.x, self.y, self.cell)

    def as_bytes(self) -> NDArray[np.uint8]:
        """Return the values as 0..255, 0 where nothing was scored."""
        return np.rint(np.nan_to_num(self.values) * 255).astype(np.uint8)

    def pyramid(self) -> list[MapStack]:
        """Return the maps, and as long as they are large the same with cells twice as large.

        A coarser cell is the mean of those of its four cells that were scored.
        """
        levels = [self]
        while max(levels[-1].values.shape[1:]) > _COARSEST_PX:
            last = levels[-1]
            levels.append(replace(last, values=halved(last.values), cell=last.cell * 2))
        return levels


def halved(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the means of squares of four cells, ``(classes, rows, columns)``; NaN counts not."""
    classes, rows, columns = values.shape
    even = np.pad(values, ((0, 0), (0, rows % 2), (0, columns % 2)), constant_values=np.nan)
    fours = even.reshape(classes, -(-rows // 2), 2, -(-columns // 2), 2)
    count = np.isfinite(fours).sum(axis=(2, 4))
    total = np.nansum(fours, axis=(2, 4), dtype=np.float64)
    mean = np.full(count.shape, np.nan, dtype=np.float32)
    np.divide(total, count, out=mean, where=count > 0, casting="unsafe")
    return mean


def map_stacks(run: ResultFolder) -> list[MapStack]:
    """Return the maps of each scale, fine to coarse, and their mean if there are several.

    Raises
    ------
    OutputError
        The model knows no classes, or the scores cannot be read.
    """
    classes, scales = run.store.classes, run.scales
    if len(classes) < 2:
        raise OutputError(
            f"{run.folder} has no maps, as its model tells no classes apart: export its embeddings "
            "instead."
        )
    names = name_scales([scores.mpp for scores in scales])
    stacks = [_stack(run, name, [scores]) for name, scores in zip(names, scales, strict=True)]
    if len(scales) > 1:
        stacks.append(_stack(run, MULTI_SCALE_MEAN, _fused_scales(run, scales)))
    return stacks


def _stack(run: ResultFolder, name: str, scales: Sequence[ScaleScores]) -> MapStack:
    classes = run.store.classes
    maps = [fuse([one.heat_map(number) for one in scales]) for number in range(len(classes))]
    return MapStack.from_maps(name, classes, maps, run.record.slide)


def _fused_scales(run: ResultFolder, scales: Sequence[ScaleScores]) -> list[ScaleScores]:
    """Return the scales of which the mean is: those that the model was trained at, if any."""
    trained = [
        scores
        for scores, about in zip(scales, run.record.scales, strict=True)
        if about.in_trained_range
    ]
    return trained or list(scales)


@dataclass(frozen=True)
class CallMap:
    """What is called at each place of one scale.

    Attributes
    ----------
    names
        All that may be called; the class of number 1 first.
    colours
        Of the names, RGB 0..255.
    numbers
        ``(rows, columns)`` uint8 of a `MapStack`'s grid; 0 where nothing was scored.
    """

    names: tuple[str, ...]
    colours: tuple[Colour, ...]
    numbers: NDArray[np.uint8]

    def pyramid(self, levels: int) -> list[NDArray[np.uint8]]:
        """Return the numbers, and every second, fourth … of them along either edge."""
        return [self.numbers[:: 2**level, :: 2**level] for level in range(levels)]


def call_maps(run: ResultFolder) -> Iterator[CallMap]:
    """Yield what is called at each scale; where tiles overlap, what covers most of a cell.

    Raises
    ------
    OutputError
        The table of tiles cannot be read.
    """
    rule = CallRule(run.store.classes)
    for scores, calls in zip(run.scales, tile_calls(run), strict=True):
        shares = [
            np.nan_to_num(scores.map_of(np.where(calls == number, 1.0, 0.0)).values)
            for number in range(len(rule.names))
        ]
        scored = np.isfinite(scores.heat_map(0).values)
        numbers = np.where(scored, np.argmax(shares, axis=0) + 1, 0)
        colours = tuple(rule.colours().values())
        yield CallMap(rule.names, colours, numbers.astype(np.uint8))


def tile_calls(run: ResultFolder) -> list[NDArray[np.int64]]:
    """Return the number of each tile's call in `CallRule.names`, ``(n,)`` of each scale.

    It is -1 where there is none.

    Raises
    ------
    OutputError
        The table of tiles cannot be read.
    """
    rule, start, found = CallRule(run.store.classes), 0, []
    for scores in run.scales:
        found.append(_calls(run.table.slice(start, len(scores.tiles)), rule, scores))
        start += len(scores.tiles)
    return found


def _calls(table: pa.Table, rule: CallRule, scores: ScaleScores) -> NDArray[np.int64]:
    """Return the number of each tile's call; tables of version 0.1 state none."""
    if "call" not in table.column_names:
        return rule.call(scores.probability).astype(np.int64)
    found = pc.index_in(table["call"], value_set=pa.array(rule.names))
    return np.asarray(found.fill_null(-1).to_numpy(), dtype=np.int64)
