"""Scales that an earlier run scored, taken over into a run of more or fewer scales.

A tile's scores depend on its own pixels, the model, and what computes it, and not on which other
scales are scored besides: so they equal those of a run anew.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import OutputError
from napari_smse.scoring.store import UNSIGNED, ScoreStore
from napari_smse.scoring.tile_table import ScaleScores
from napari_smse.tiles import ScaleTiles, TileGrid, TilePlan

_OTHER_SCORES: Final = ("tuned_from", "classifier")
"""Facts of stores whose scores are not those of the run that they name."""

logger = logging.getLogger(__name__)


def scored_scales(
    paths: Iterable[Path], facts: Mapping[str, Any], plan: TilePlan
) -> dict[int, ScaleScores]:
    """Return what complete runs of the same but other scales stored of a plan.

    Parameters
    ----------
    paths
        Stores to look into; one that cannot be read, or is of anything else, is passed over.
    facts
        What the scores of the plan depend on, see `open_run.run_facts`.
    plan
        The tiles to score.

    Returns
    -------
    dict
        The scores of whole scales, in the order of the plan's tiles, by the number of the scale.
    """
    found: dict[int, ScaleScores] = {}
    for path in paths:
        if len(found) == len(plan.scales) or facts["request"].get("coarse_first"):
            break  # with a time limit it is not known which tiles will be scored
        try:
            found = {**_scales_of(ScoreStore.open(path), facts, plan), **found}
        except OutputError:
            logger.info("%s cannot be read, and nothing is taken from it", path, exc_info=True)
    return found


def holds_all_of(found: Mapping[int, ScaleScores], store: ScoreStore) -> bool:
    """Whether every scale of a store is among those that were found."""
    mpps = {scores.mpp for scores in found.values()}
    return set(store.facts["request"]["mpps"]) <= mpps


def _scales_of(
    store: ScoreStore, facts: Mapping[str, Any], plan: TilePlan
) -> dict[int, ScaleScores]:
    known = store.facts
    if not store.complete or any(name in known for name in _OTHER_SCORES):
        return {}
    if _of_any_scales(known, facts) != _of_any_scales(facts, facts):
        return {}
    numbers = {mpp: number for number, mpp in enumerate(known["request"]["mpps"])}
    found = {}
    for number, tiles in enumerate(plan.scales):
        stored = numbers.get(tiles.grid.spec.mpp)
        scores = None if stored is None else _in_order_of(tiles, store.scale(stored))
        if scores is not None:
            found[number] = scores
    return found


def _of_any_scales(facts: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """What scores depend on, but for the scales and how they are read together."""
    kept = {name: facts.get(name) for name in names if name not in UNSIGNED | {"tiles"}}
    request = {name: value for name, value in facts["request"].items() if name != "mpps"}
    return {**kept, "request": request}


def _in_order_of(tiles: ScaleTiles, stored: ScaleScores) -> ScaleScores | None:
    """Return the stored scores of these tiles; None unless all of them are there and whole."""
    if stored.tiles.grid != tiles.grid or len(stored.tiles) != len(tiles):
        return None
    grid, there = tiles.grid, _places(stored.tiles, tiles.grid)
    wanted, order = _places(tiles, grid), np.argsort(there)
    at = order[np.searchsorted(there[order], wanted).clip(max=max(0, len(order) - 1))]
    scores = ScaleScores(tiles, stored.probability[at], stored.embedding[at], stored.appearance[at])
    same = np.array_equal(there[at], wanted)
    whole = np.isfinite(scores.probability).all() and np.isfinite(scores.appearance).all()
    return scores if same and whole else None


def _places(tiles: ScaleTiles, grid: TileGrid) -> NDArray[np.int64]:
    """Raster numbers of tiles, ``(n,)``."""
    return tiles.rows.astype(np.int64) * grid.columns + tiles.columns
