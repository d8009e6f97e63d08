"""The maps of a scored slide as tuned heads would have them, from what the run stored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_smse.learning.head_tuning import TunedHeads
from napari_smse.scoring import ScoreMaps, ScoreStore, TileScores
from napari_smse.tiles import TilePlan


def tuned_maps(
    store: ScoreStore,
    plan: TilePlan,
    heads: TunedHeads,
    classes: Sequence[str],
    fused: Sequence[int],
) -> ScoreMaps:
    """Return the maps of a run's tiles by tuned heads; tiles not scored so far stay empty.

    Parameters
    ----------
    store, plan
        Of the run.
    heads
        Tuned on the embeddings of the model that scored it.
    classes
        That the heads tell apart.
    fused
        Numbers of the scales that the fused maps are made of.

    Raises
    ------
    OutputError
        The store cannot be read.
    """
    maps = ScoreMaps(plan, classes, fused)
    maps.add([_scores(store, number, heads) for number in range(store.scale_count)])
    return maps


def _scores(store: ScoreStore, number: int, heads: TunedHeads) -> TileScores:
    scores = store.scale(number)
    done = np.flatnonzero(~np.isnan(scores.probability[:, 0]))
    return TileScores(number, done, heads.probabilities(scores.embedding[done]))
