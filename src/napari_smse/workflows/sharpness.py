"""How sharp the tiles of a run are, as a map."""

from __future__ import annotations

from typing import Final

from napari_smse.scoring import HeatMap, HeatMapBuilder
from napari_smse.tiles.appearance import focus
from napari_smse.workflows.scored_slide import Run

BLURRED: Final = 0.2
"""Tiles below are blurred, where real tissue is scored at 20x; see `tiles.appearance.focus`."""

SHARPEST: Final = 0.6
"""Most tissue that is sharp lies below."""


def sharpness_map(run: Run, scale: int) -> HeatMap:
    """Return how sharp the tiles of one scale are; NaN where nothing was scored.

    Parameters
    ----------
    run
        The run, which may still go on.
    scale
        Number of the scale, fine to coarse.

    Raises
    ------
    OutputError
        Its store cannot be read.
    """
    tiles = run.plan.scales[scale]
    builder = HeatMapBuilder(tiles.grid)
    builder.add(tiles.columns, tiles.rows, focus(run.store.appearance(scale)))
    return builder.heat_map()
