"""The maps of a scored slide by a network whose trunk has learnt, too: every tile is read again."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path

from napari_smse.models import Model
from napari_smse.scoring import ComputeDevice, Progress, ScoreMaps, ScoreStore, score
from napari_smse.slides import Slide
from napari_smse.tiles import TilePlan


def rescored_maps(
    slide: Slide,
    model: Model,
    plan: TilePlan,
    fused: Sequence[int],
    device: ComputeDevice,
    threads: int = 1,
    store: ScoreStore | None = None,
) -> Generator[Progress, None, ScoreMaps]:
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
        for progress in score(slide, model, plan, store, device, threads=threads, readers=1):
            maps.add(progress.scores)
            yield progress
    return maps
