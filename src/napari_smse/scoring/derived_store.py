"""The scores of a run's tiles by other means: tuned heads, or exemplars instead of a class head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.scoring.store import QUANTISATION, REGION, ScoreStore
from napari_smse.tiles import TilePlan

_INHERITED: Final = (
    *("slide", "model", "request", "precision", "runtime", QUANTISATION, "tiles", REGION),
)


def derived_store(
    path: Path,
    source: ScoreStore,
    plan: TilePlan,
    classes: Sequence[str],
    scores: Sequence[tuple[NDArray[np.float32], NDArray[np.floating]]],
    facts: Mapping[str, Any],
) -> ScoreStore:
    """Write a store of the same tiles with other scores; as far done as the one it comes from.

    Parameters
    ----------
    path
        Folder to write; what is there is replaced.
    source, plan
        The run's store, and its tiles.
    classes
        Class names, in the order of the new probabilities.
    scores
        For each scale the probabilities ``(n, classes)``, NaN for a tile that was not scored, and
        the embeddings ``(n, d)``.
    facts
        Facts that differ from the source: whose scores they are, as JSON values.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    width = scores[0][1].shape[1]
    store = ScoreStore.create(path, plan, classes, width, {**inherited_facts(source), **facts})
    for number, (probability, embedding) in enumerate(scores):
        store.write_rows(number, 0, probability, embedding, source.appearance(number))
    store.mark_done(np.flatnonzero(source.blocks_done()).tolist())
    if source.finished:
        store.finish(complete=source.complete, seconds=source.facts.get("seconds", 0.0))
    return store


def inherited_facts(source: ScoreStore) -> dict[str, Any]:
    """Return what holds of any scores of a run's tiles: slide, request, numbers, tiles, model."""
    facts = source.facts
    return {name: facts[name] for name in _INHERITED if name in facts}
