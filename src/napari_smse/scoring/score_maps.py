"""The maps of a run while it runs: per class and scale, and fused over scales."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from napari_smse.scoring.heat_map import HeatMap, HeatMapBuilder, fuse
from napari_smse.scoring.progress import TileScores
from napari_smse.scoring.request import objective_power
from napari_smse.scoring.store import ScoreStore
from napari_smse.scoring.tile_table import ScaleScores
from napari_smse.tiles import TilePlan

MULTI_SCALE_MEAN = "multi-scale mean"
_MALIGNANT = "malignant"


@dataclass(frozen=True)
class MapName:
    """Which map: of which class, at which scale.

    Parameters
    ----------
    class_name
        The class whose probability it is.
    scale
        Objective power, such as ``20x``, or `MULTI_SCALE_MEAN`.
    """

    class_name: str
    scale: str

    def __str__(self) -> str:
        """As a reader calls it: ``P(malignant) 20x``."""
        return f"P({self.class_name}) {self.scale}"


def name_scales(mpps: Sequence[float]) -> list[str]:
    """Name each scale by its objective power, or all by their um/px if two have the same."""
    powers = [f"{objective_power(mpp):.3g}x" for mpp in mpps]
    return powers if len(set(powers)) == len(powers) else [f"{mpp:g} µm/px" for mpp in mpps]


def shown_class(classes: Sequence[str]) -> str:
    """The class whose map is shown first: malignant if there is such, else the last."""
    return _MALIGNANT if _MALIGNANT in classes else classes[-1]


class ScoreMaps:
    """Takes in results in any order and gives the maps and tables so far.

    Parameters
    ----------
    plan
        The tiles that are being scored.
    classes
        Class names, in the order of the probabilities.
    fused
        Numbers of the scales that the fused maps are made of.
    """

    def __init__(self, plan: TilePlan, classes: Sequence[str], fused: Sequence[int]) -> None:
        self.plan, self.classes = plan, tuple(classes)
        self._fused = tuple(fused)
        self._builders = [[HeatMapBuilder(tiles.grid) for _ in classes] for tiles in plan.scales]
        self._probability = [
            np.full((len(tiles), len(classes)), np.nan, dtype=np.float32) for tiles in plan.scales
        ]

    @property
    def scale_names(self) -> list[str]:
        """Each scale of the plan by its objective power, or by its um/px if two have the same."""
        return name_scales([tiles.grid.spec.mpp for tiles in self.plan.scales])

    @property
    def has_maps(self) -> bool:
        """Whether there is anything to map: a single class, that of all tiles, is no map."""
        return len(self.classes) > 1

    def __iter__(self) -> Iterator[MapName]:
        """Names of the maps: scale by scale, and the fused ones last if there are several.

        Of two classes one has a map, as that of the other would say the same again; a single
        class has none, as all tiles are of it.
        """
        if not self.has_maps:
            return iter(())
        scales = self.scale_names + ([MULTI_SCALE_MEAN] if len(self.plan.scales) > 1 else [])
        classes = self.classes if len(self.classes) != 2 else (shown_class(self.classes),)
        return (MapName(class_name, scale) for scale in scales for class_name in classes)

    def add(self, scores: Sequence[TileScores]) -> None:
        """Take in new results."""
        for part in scores:
            tiles = self.plan.scales[part.scale]
            self._probability[part.scale][part.index] = part.probability
            for number, builder in enumerate(self._builders[part.scale]):
                builder.add(
                    tiles.columns[part.index], tiles.rows[part.index], part.probability[:, number]
                )

    def add_stored(self, store: ScoreStore) -> None:
        """Take in all that a store holds of the plan's tiles so far."""
        for number in range(store.scale_count):
            probability = store.scale(number).probability
            done = np.flatnonzero(~np.isnan(probability[:, 0]))
            self.add([TileScores(number, done, probability[done])])

    def heat_map(self, name: MapName) -> HeatMap:
        """The values of a map so far."""
        number = self.classes.index(name.class_name)
        if name.scale == MULTI_SCALE_MEAN:
            return fuse([self._builders[scale][number].heat_map() for scale in self._fused])
        return self._builders[self.scale_names.index(name.scale)][number].heat_map()

    def scores(self) -> list[ScaleScores]:
        """All results so far, without embeddings; NaN where a tile was not scored yet."""
        none = np.empty((0, 0), dtype=np.float16)
        return [
            ScaleScores(tiles, probability, none)
            for tiles, probability in zip(self.plan.scales, self._probability, strict=True)
        ]

    def values_at(self, x: float, y: float) -> dict[str, dict[str, float]]:
        """Probabilities by scale and class at a level-0 point, where a tile was scored.

        With several scales, those of the fused maps come last.
        """
        probabilities: dict[str, dict[str, float]] = {}
        for scale, builders in zip(self.scale_names, self._builders, strict=True):
            values = [builder.value_at(x, y) for builder in builders]
            if np.isfinite(values).all():
                probabilities[scale] = dict(zip(self.classes, values, strict=True))
        if probabilities and len(self.plan.scales) > 1:
            fused = self._fused_at(x, y)
            if np.isfinite(fused).all():
                probabilities[MULTI_SCALE_MEAN] = dict(zip(self.classes, fused, strict=True))
        return probabilities

    def _fused_at(self, x: float, y: float) -> list[float]:
        """Each class's value of the fused map's cell at a level-0 point; NaN where it has none."""
        used = [self._builders[number] for number in self._fused]
        finest = min(
            (builders[0].grid for builders in used), key=lambda grid: grid.spec.stride_level0
        )
        cell, area = finest.spec.stride_level0, finest.area
        # As in the map, what counts are the values of the scales in the middle of the cell.
        x, y = (
            (math.floor((at - low) / cell) + 0.5) * cell + low
            for at, low in ((x, area.x), (y, area.y))
        )
        values = np.array([[builder.value_at(x, y) for builder in builders] for builders in used])
        scored = values[np.isfinite(values).all(axis=1)]
        means = scored.mean(axis=0) if len(scored) else np.full(len(self.classes), np.nan)
        return [float(mean) for mean in means]
