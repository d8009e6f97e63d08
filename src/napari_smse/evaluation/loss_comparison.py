"""The controls a recipe has to be compared with: every loss with every other, same folds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.datasets.splits import Fold
from napari_smse.evaluation.cross_validation import Learner, cross_validation
from napari_smse.metrics.estimate import Estimate
from napari_smse.metrics.predictions import HeldOutPredictions
from napari_smse.metrics.summary import estimate, paired_difference
from napari_smse.progress import Progress, Task, map_progress

SIMILARITIES: Final = ("none", "pair", "triplet")
CLASSIFICATIONS: Final = ("cross-entropy", "focal", "reinforced focal")
REFERENCE: Final = ("none", "cross-entropy")
SHOWN: Final = ("auc", "accuracy", "patient_recognition_rate")

Losses = tuple[str, str]
"""Similarity and classification loss."""


@dataclass(frozen=True)
class LossComparisonRow:
    """One row of the table.

    Attributes
    ----------
    figures
        Values by metric, with case-clustered intervals.
    differences
        Paired differences to no similarity loss with cross-entropy; none in that row itself.
    """

    similarity: str
    classification: str
    figures: dict[str, Estimate]
    differences: dict[str, Estimate] | None


def compare_losses(
    make_learner: Callable[[str, str], Learner],
    labelled_set: LabelledSet,
    folds: int | Sequence[Fold] = 5,
    *,
    repeats: int = 1,
    validation_fraction: float = 0.2,
    seed: int = 0,
) -> Task[dict[Losses, HeldOutPredictions]]:
    """Cross-validate every pair of losses on the same folds, with progress in folds.

    Parameters
    ----------
    make_learner
        Similarity and classification loss -> learner, otherwise the same.
    labelled_set, folds, repeats, validation_fraction, seed
        As for `cross_validation.cross_validation`.

    Returns
    -------
    dict[Losses, HeldOutPredictions]
        All predictions of each pair of losses.
    """
    held_out: dict[Losses, HeldOutPredictions] = {}
    pairs = list(itertools.product(SIMILARITIES, CLASSIFICATIONS))
    # The reference first, so that all others can be compared as they come.
    for place, losses in enumerate(sorted(pairs, key=lambda losses: losses != REFERENCE)):
        running = cross_validation(
            make_learner(*losses),
            labelled_set,
            folds,
            repeats=repeats,
            validation_fraction=validation_fraction,
            seed=seed,
        )
        held_out[losses] = yield from map_progress(running, partial(_overall, place, len(pairs)))
    return held_out


def _overall(place: int, pairs: int, progress: Progress) -> Progress:
    """Return how far all losses are, from how far those at one place are."""
    folds = progress.total
    return Progress(place * folds + progress.done, pairs * folds)


def loss_comparison_table(
    held_out: Mapping[Losses, HeldOutPredictions], labelled_set: LabelledSet, *, draws: int = 1000
) -> list[LossComparisonRow]:
    """Return a row for each pair of losses, with its paired difference to the reference."""
    rows = []
    for losses, predictions in held_out.items():
        metrics = {name: estimate(predictions, labelled_set, name, draws=draws) for name in SHOWN}
        differences = None
        if losses != REFERENCE and REFERENCE in held_out:
            differences = {
                name: paired_difference(
                    predictions, held_out[REFERENCE], labelled_set, name, draws=draws
                )
                for name in SHOWN
            }
        rows.append(LossComparisonRow(*losses, metrics, differences))
    return rows
