"""What was called on a slide, and how much of it: areas, shares, a histogram, and hottest spots.

Areas are of tissue, and no tissue counts twice: what several tiles cover is divided among them
evenly, as where tiles overlap and at the far edges of a slide, where the last row and column are
moved back. A tile stands for its part of the slide times its share of tissue. Without overlap that
is the tissue in the tile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.models.card import ModelCard
from napari_smse.scoring.calls import OOD_LIMIT, OOD_SHARE, OUT_OF_DISTRIBUTION, CallRule
from napari_smse.scoring.heat_map import HeatMap, fuse
from napari_smse.scoring.request import describe_scale, fused_scales, is_trained_scale
from napari_smse.scoring.score_maps import MULTI_SCALE_MEAN, name_scales
from napari_smse.scoring.tile_table import ScaleScores
from napari_smse.slides import Region
from napari_smse.tiles import ScaleTiles
from napari_smse.tiles.coverage import TileCoverage

BINS: Final = 20
"""Of the histogram, from 0 to 1."""

MAX_SPOTS: Final = 5

_MM2: Final = 1e-6  # mm2 in um2


@dataclass(frozen=True)
class CallArea:
    """How much tissue was called so.

    Attributes
    ----------
    name
        A class, *indeterminate* or *out of distribution*.
    mm2
        Area of tissue, mm2.
    share
        Of all tissue that was scored, 0..1; 0 where nothing was scored.
    """

    name: str
    mm2: float
    share: float


@dataclass(frozen=True)
class HotSpot:
    """A place that is called the class, as probable as any other around.

    Attributes
    ----------
    region
        Where it lies, level-0 px.
    mpp
        The scale, um/px; that of the finest scale for the mean.
    probability
        Of the class, 0..1.
    """

    region: Region
    mpp: float
    probability: float


@dataclass(frozen=True, eq=False)
class ScaleSummary:
    """What was called at one scale, or by the mean over scales.

    Attributes
    ----------
    name, title
        As maps name the scale (``20x``, or `MULTI_SCALE_MEAN`), and in full, with um/px.
    count, unit
        How many of what was scored: tiles, or places of the mean.
    calls
        For each that may be called, in the order of `CallRule.names`.
    histogram
        ``(calls, BINS)`` mm2 of tissue by call and by probability of the class, from 0 to 1.
    mean_probability
        Of the class, over the tissue that is not out of distribution; None if there is none.
    spots
        The hottest first; none if the class was called nowhere.
    in_range
        Whether the model was trained at the scale; if not, nothing is called.
    """

    name: str
    title: str
    count: int
    unit: str
    calls: tuple[CallArea, ...]
    histogram: NDArray[np.float64]
    mean_probability: float | None
    spots: tuple[HotSpot, ...]
    in_range: bool

    @property
    def mm2(self) -> float:
        """Area of the tissue that was scored, mm2."""
        return sum(call.mm2 for call in self.calls)

    def area_of(self, name: str) -> CallArea:
        """Return how much was called so."""
        return next(call for call in self.calls if call.name == name)


@dataclass(frozen=True)
class SlideSummary:
    """What was called on a slide: at each scale, and last by the mean over scales if several.

    Attributes
    ----------
    class_name
        The class whose probabilities and spots these are.
    rule
        How tiles were called.
    ood_known
        Whether it is known what is out of distribution.
    scales
        Those at which a tile was scored, fine to coarse, then the mean.
    """

    class_name: str
    rule: CallRule
    ood_known: bool
    scales: tuple[ScaleSummary, ...]

    @property
    def leading(self) -> ScaleSummary | None:
        """What counts: the mean if there are several scales; None if nothing was scored."""
        return self.scales[-1] if self.scales else None

    def of_map(self, name: str) -> ScaleSummary | None:
        """Return the summary of the map of this scale; None if nothing was scored there."""
        return next((scale for scale in self.scales if scale.name == name), None)


def summarise_slide(
    scales: Sequence[ScaleScores],
    ood: Sequence[NDArray[np.floating]],
    card: ModelCard,
    rule: CallRule,
    class_name: str,
) -> SlideSummary:
    """Return what was called on a slide.

    Parameters
    ----------
    scales
        Tiles and probabilities of each scale, fine to coarse.
    ood
        Out-of-distribution score of each of their tiles, ``(n,)``; NaN where that is not known.
    card
        Of the model: at which scales it was trained.
    rule
        How tiles are called.
    class_name
        The class whose probabilities and hottest spots are wanted.
    """
    number = rule.classes.index(class_name)
    names = name_scales([scores.mpp for scores in scales])
    parts = []
    for name, scores, own_ood in zip(names, scales, ood, strict=True):
        trained = is_trained_scale(scores.mpp, card)
        parts.append(_Places.of_scale(scores, own_ood).summary(rule, number, name, trained))
    if len(scales) > 1:
        used = fused_scales([scores.mpp for scores in scales], card)
        chosen = [(scales[one], ood[one]) for one in used if len(scales[one].tiles)]
        if chosen:
            trained = is_trained_scale(chosen[0][0].mpp, card)
            mean = _Places.of_mean(chosen, len(rule.classes))
            parts.append(mean.summary(rule, number, MULTI_SCALE_MEAN, trained))
    known = any(np.isfinite(values).any() for values in ood)
    return SlideSummary(class_name, rule, known, tuple(part for part in parts if part.count))


def tile_areas(tiles: ScaleTiles) -> NDArray[np.float64]:
    """Return the area of tissue that each tile stands for, mm2, ``(n,)``; see this module."""
    grid = tiles.grid
    px2 = TileCoverage.of_tiles(tiles).shares(grid.area)
    return px2 * tiles.tissue * grid.spec.slide_mpp**2 * _MM2


@dataclass(frozen=True, eq=False)
class _Places:
    """Tiles of a scale, or cells of the mean, that were scored; all arrays ``(n, …)``."""

    title: str
    unit: str
    mpp: float
    regions: NDArray[np.int64]
    probability: NDArray[np.float64]
    ood: NDArray[np.float64]
    mm2: NDArray[np.float64]

    @classmethod
    def of_scale(cls, scores: ScaleScores, ood: NDArray[np.floating]) -> _Places:
        done = np.flatnonzero(np.isfinite(scores.probability).all(axis=1))
        tiles = scores.tiles.take(done)
        regions = np.column_stack([tiles.x, tiles.y, tiles.width, tiles.height])
        return cls(
            describe_scale(scores.mpp),
            "tiles",
            scores.mpp,
            regions.astype(np.int64),
            scores.probability[done].astype(np.float64),
            np.asarray(ood, dtype=np.float64)[done],
            tile_areas(tiles),
        )

    @classmethod
    def of_mean(
        cls, scales: Sequence[tuple[ScaleScores, NDArray[np.floating]]], classes: int
    ) -> _Places:
        finest = scales[0][0]
        maps = [fuse([one.heat_map(number) for one, _ in scales]) for number in range(classes)]
        rows, columns = np.nonzero(np.all([np.isfinite(one.values) for one in maps], axis=0))
        along, down = maps[0].centres()
        x, y = along[columns], down[rows]
        unlike = fuse(
            [one.map_of(np.where(values > OOD_LIMIT, 1.0, 0.0)) for one, values in scales]
        )
        grid = finest.tiles.grid
        edge = grid.edge
        # The last cells reach over the far edges: what they show is the slide before these.
        ends = (grid.area.x, grid.area.right), (grid.area.y, grid.area.bottom)
        corners = [
            np.rint(np.clip(middle - edge / 2, first, max(first, last - edge)))
            for middle, (first, last) in zip((x, y), ends, strict=True)
        ]
        mm2 = _area_within(grid.area, x, y, maps[0].cell) * grid.spec.slide_mpp**2 * _MM2
        return cls(
            _title_of_mean([one.mpp for one, _ in scales]),
            "places",
            finest.mpp,
            np.column_stack([*corners, np.full((len(x), 2), edge)]).astype(np.int64),
            np.stack([one.values[rows, columns] for one in maps], axis=1).astype(np.float64),
            np.where(unlike.values[rows, columns] >= OOD_SHARE, np.inf, 0.0),
            _tissue_at([one for one, _ in scales], x, y) * mm2,
        )

    def summary(self, rule: CallRule, number: int, name: str, in_range: bool) -> ScaleSummary:
        calls = rule.call(self.probability, self.ood, in_range=in_range)
        values = self.probability[:, number]
        numbers = range(len(rule.names))
        areas = [float(self.mm2[calls == call].sum()) for call in numbers]
        total = sum(areas)
        histogram = [
            np.histogram(values[calls == call], BINS, (0, 1), weights=self.mm2[calls == call])[0]
            for call in numbers
        ]
        return ScaleSummary(
            name,
            self.title,
            len(values),
            self.unit,
            tuple(
                CallArea(called, area, area / total if total else 0.0)
                for called, area in zip(rule.names, areas, strict=True)
            ),
            np.array(histogram, dtype=np.float64),
            _mean(values, self.mm2, calls != rule.names.index(OUT_OF_DISTRIBUTION)),
            tuple(self._spots(values, calls == number)),
            in_range,
        )

    def _spots(self, values: NDArray[np.float64], called: NDArray[np.bool_]) -> Iterator[HotSpot]:
        """Yield the most probable places, a tile's edge or more between any two of them."""
        left = called.copy()
        middles = self.regions[:, :2] + self.regions[:, 2:] / 2
        for _ in range(MAX_SPOTS):
            if not left.any():
                return
            row = int(np.flatnonzero(left)[values[left].argmax()])
            x, y, width, height = (int(side) for side in self.regions[row])
            yield HotSpot(Region(x, y, width, height), self.mpp, float(values[row]))
            apart = np.abs(middles - middles[row]) >= 2 * self.regions[row, 2:]
            left &= apart.any(axis=1)


def _title_of_mean(mpps: Sequence[float]) -> str:
    names = name_scales(mpps)
    if len(names) == 1:
        return f"{MULTI_SCALE_MEAN}, here {names[0]} alone, for which the model was trained"
    return f"{MULTI_SCALE_MEAN} of {' and '.join(names)}"


def _area_within(
    region: Region, x: NDArray[np.floating], y: NDArray[np.floating], cell: float
) -> NDArray[np.float64]:
    """Return how much of cells with these middles lies in a region, level-0 px²."""
    width, height = (
        np.clip(middle + cell / 2, first, last) - np.clip(middle - cell / 2, first, last)
        for middle, first, last in ((x, region.x, region.right), (y, region.y, region.bottom))
    )
    return np.asarray(width * height)


def _tissue_at(
    scales: Sequence[ScaleScores], x: NDArray[np.floating], y: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Share of tissue at level-0 points, by the finest scale that has a tile there."""
    found = np.full(x.shape, np.nan)
    for scores in scales:
        tissue = _where_scored(scores, scores.tiles.tissue)
        found = np.where(np.isnan(found), tissue.at(x, y), found)
    return np.asarray(np.nan_to_num(found))


def _where_scored(scores: ScaleScores, values: NDArray[Any]) -> HeatMap:
    scored = np.isfinite(scores.probability).all(axis=1)
    return scores.map_of(np.where(scored, values.astype(np.float64), np.nan))


def _mean(
    values: NDArray[np.float64], mm2: NDArray[np.float64], counted: NDArray[np.bool_]
) -> float | None:
    total = float(mm2[counted].sum())
    return float((values[counted] * mm2[counted]).sum() / total) if total > 0 else None
