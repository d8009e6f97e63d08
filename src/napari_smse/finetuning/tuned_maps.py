"""The maps of a scored slide by a tuned model.

If only its heads learnt, stored embeddings are enough; otherwise all tiles are read again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_smse.finetuning.embedding_heads import EmbeddingHeads
from napari_smse.models import Model
from napari_smse.progress import Task
from napari_smse.scoring import (
    ComputeDevice,
    ScoreMaps,
    ScoreStore,
    TileScores,
    score,
)
from napari_smse.scoring.derived_store import derived_store
from napari_smse.scoring.device import viewer_reading_threads
from napari_smse.slides import Slide
from napari_smse.tiles import TilePlan


def maps_by_heads(
    store: ScoreStore,
    plan: TilePlan,
    heads: EmbeddingHeads,
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


def store_by_heads(
    path: Path,
    store: ScoreStore,
    plan: TilePlan,
    heads: EmbeddingHeads,
    classes: Sequence[str],
    facts: Mapping[str, Any],
) -> ScoreStore:
    """Write the probabilities and embeddings of a run's tiles by tuned heads.

    Parameters
    ----------
    path
        Folder to write.
    store, plan, heads, classes
        As for `maps_by_heads`.
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
    store: ScoreStore, number: int, heads: EmbeddingHeads
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return probabilities, NaN where nothing was scored, and embeddings of one scale."""
    scores = store.scale(number)
    done = ~np.isnan(scores.probability[:, 0])
    probability = np.full((len(done), heads.class_head.out_features), np.nan, dtype=np.float32)
    embedding = np.zeros(scores.embedding.shape, dtype=np.float32)
    probability[done], embedding[done] = heads.scores(scores.embedding[done])
    return probability, embedding


def rescored_maps(
    slide: Slide,
    model: Model,
    plan: TilePlan,
    fused: Sequence[int],
    device: ComputeDevice,
    threads: int = 1,
    store: ScoreStore | None = None,
) -> Task[ScoreMaps]:
    """Score a run's tiles with another model, yielding progress; return the maps.

    Parameters
    ----------
    slide, plan
        Of the run.
    model
        What to score with.
    fused
        Numbers of the scales that the fused maps are made of.
    device, threads
        Where the network runs, and CPU threads for it.
    store
        Where the scores go, made for this plan; without, nothing is kept on disk.

    Raises
    ------
    DamagedSlideError
        The slide cannot be read.
    OutputError
        There is no room for what is stored meanwhile.
    """
    card = model.card
    maps = ScoreMaps(plan, card.classes, fused)
    with tempfile.TemporaryDirectory(prefix="napari-smse-", ignore_cleanup_errors=True) as folder:
        if store is None:
            path = Path(folder) / "scores.zarr"
            store = ScoreStore.create(path, plan, card.classes, card.embedding_dim, {})
        readers = viewer_reading_threads(device, threads)
        running = score(slide, model, plan, store, device, threads=threads, readers=readers)
        for progress in running:
            maps.add(progress.scores)
            yield progress
    return maps
