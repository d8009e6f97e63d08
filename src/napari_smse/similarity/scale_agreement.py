"""Where the scales of a slide call the same class, and which of them is the surest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import QueryError
from napari_smse.scoring import HeatMap
from napari_smse.scoring.tile_table import TileTable


@dataclass(frozen=True)
class ScaleAgreement:
    """Which class the scales predict at each place, on the grid of the finest.

    Attributes
    ----------
    agree
        1 where all scales that scored a place call the same class, 0 where not; NaN where fewer
        than two scored it.
    decided
        Number of the scale that is surest of its class, the finest of those alike; NaN where fewer
        than two scored the place.
    called
        Number of the class that this scale calls; NaN likewise.
    """

    agree: HeatMap
    decided: HeatMap
    called: HeatMap

    @property
    def share(self) -> float:
        """Share of the places with several scales where they agree; NaN if there is none."""
        known = self.agree.values[np.isfinite(self.agree.values)]
        return float(known.mean()) if len(known) else float("nan")

    def decided_share(self, scale: int) -> float:
        """Share of the places with several scales that a scale decided; NaN if there is none."""
        known = self.decided.values[np.isfinite(self.decided.values)]
        return float((known == scale).mean()) if len(known) else float("nan")


def scale_agreement(tiles: TileTable) -> ScaleAgreement:
    """Return where the scales of a slide agree.

    Raises
    ------
    QueryError
        The slide was scored at one scale only.
    """
    if sum(len(scale) > 0 for scale in tiles.scales) < 2:
        raise QueryError(
            "The slide was scored at one scale only: score it at two or more to see where they "
            "agree."
        )
    finest = _finest(tiles)
    probability = np.stack([_on_grid(tiles, number, finest) for number in range(len(tiles.scales))])
    known = np.isfinite(probability).all(axis=1)
    several = known.sum(axis=0) > 1
    confidence = np.where(known, np.nan_to_num(probability).max(axis=1), -1.0)
    called = np.nan_to_num(probability).argmax(axis=1)
    decided = confidence.argmax(axis=0)
    calls = np.take_along_axis(called, decided[np.newaxis], axis=0)[0]
    agree = ((called == calls) | ~known).all(axis=0)

    def made(values: NDArray[np.generic]) -> HeatMap:
        shown = np.where(several, values, np.nan).astype(np.float32)
        return HeatMap(shown, finest.x, finest.y, finest.cell)

    return ScaleAgreement(made(agree), made(decided), made(calls))


def _finest(tiles: TileTable) -> HeatMap:
    """Return an empty map with the smallest cells."""
    scored = [number for number in range(len(tiles.scales)) if len(tiles.scales[number])]
    number = min(scored, key=lambda one: tiles.scales[one].grid.spec.stride_level0)
    return tiles.heat_map(np.full(len(tiles), np.nan, np.float32), number)


def _on_grid(tiles: TileTable, scale: int, grid: HeatMap) -> NDArray[np.float32]:
    """Return a scale's probabilities at the cells of a grid, ``(classes, rows, columns)``."""
    x, y = np.meshgrid(*grid.centres())
    maps = (tiles.heat_map(tiles.probability[:, n], scale) for n in range(len(tiles.classes)))
    return np.stack([heat_map.at(x, y) for heat_map in maps])
