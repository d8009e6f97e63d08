"""Tiles of a slide that a fine-tuned model calls otherwise than the model it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_smse.scoring import ScaleScores
from napari_smse.slides import Region


@dataclass(frozen=True)
class ChangedCall:
    """A tile with another call than before.

    Attributes
    ----------
    mpp
        Scale it was scored at, um/px.
    region
        Its place, level-0 px.
    before, after
        The class of the highest probability.
    moved
        Half the sum of the changes of all probabilities, 0..1.
    """

    mpp: float
    region: Region
    before: str
    after: str
    moved: float


def changed_calls(
    before: Sequence[ScaleScores],
    after: Sequence[ScaleScores],
    classes: Sequence[str],
    max_tiles: int = 200,
) -> tuple[list[ChangedCall], int]:
    """Return the tiles that moved furthest into another class, furthest first, and how many did.

    Parameters
    ----------
    before, after
        Scores of the same tiles, scale by scale.
    classes
        Names, in the order of the probabilities of both.
    max_tiles
        How many tiles to return.
    """
    changed: list[tuple[float, int, int]] = []
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        known = np.isfinite(old.probability[:, 0]) & np.isfinite(new.probability[:, 0])
        rows = np.flatnonzero(known)
        was, now = old.probability[rows], new.probability[rows]
        flipped = was.argmax(axis=1) != now.argmax(axis=1)
        moved = np.abs(now - was).sum(axis=1) / 2
        changed += [
            (float(far), number, int(row))
            for far, row in zip(moved[flipped], rows[flipped], strict=True)
        ]
    changed.sort(key=lambda one: -one[0])
    return [
        _tile(before[number], after[number], row, classes, far)
        for far, number, row in changed[:max_tiles]
    ], len(changed)


def _tile(
    old: ScaleScores, new: ScaleScores, row: int, classes: Sequence[str], moved: float
) -> ChangedCall:
    return ChangedCall(
        old.mpp,
        old.tiles.region(row),
        classes[int(old.probability[row].argmax())],
        classes[int(new.probability[row].argmax())],
        moved,
    )
