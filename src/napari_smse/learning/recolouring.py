"""The scores of a run's tiles as tuned heads would have them, from what the run stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_smse.learning.head_tuning import TunedHeads
from napari_smse.scoring import ScoreMaps, ScoreStore, TileScores
from napari_smse.scoring.derived_store import derived_store
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
    for number in range(store.scale_count):
        probability, _ = _scores(store, number, heads)
        done = np.flatnonzero(~np.isnan(probability[:, 0]))
        maps.add([TileScores(number, done, probability[done])])
    return maps


def tuned_store(
    path: Path,
    store: ScoreStore,
    plan: TilePlan,
    heads: TunedHeads,
    classes: Sequence[str],
    facts: Mapping[str, Any],
) -> ScoreStore:
    """Write the probabilities and embeddings of a run's tiles by tuned heads.

    Parameters
    ----------
    path
        Folder to write.
    store, plan, heads, classes
        As for `tuned_maps`.
    facts
        Whose scores they are, as JSON values.

    Raises
    ------
    OutputError
        The run's store cannot be read, or the new one not be written.
    """
    scores = [_scores(store, number, heads) for number in range(store.scale_count)]
    return derived_store(path, store, plan, classes, scores, facts)


def _scores(
    store: ScoreStore, number: int, heads: TunedHeads
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return probabilities, NaN where nothing was scored, and embeddings of one scale."""
    scores = store.scale(number)
    done = ~np.isnan(scores.probability[:, 0])
    probability = np.full((len(done), heads.class_head.out_features), np.nan, dtype=np.float32)
    embedding = np.zeros(scores.embedding.shape, dtype=np.float32)
    probability[done], embedding[done] = heads.scores(scores.embedding[done])
    return probability, embedding
