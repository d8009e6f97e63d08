"""The controls a recipe has to be compared with: every loss with every other, same folds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Final

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.datasets.splits import Fold
from napari_smse.evaluation.cross_validation import FoldProgress, Learner, cross_validation
from napari_smse.metrics.estimate import Estimate
from napari_smse.metrics.predictions import HeldOutPredictions, join
from napari_smse.metrics.summary import (
    MagnificationSummary,
    estimate,
    paired_difference,
    summarise,
)
from napari_smse.progress import Progress, Task, map_progress

SIMILARITIES: Final = ("none", "pair", "triplet")
CLASSIFICATIONS: Final = ("cross-entropy", "focal", "reinforced focal")
REFERENCE: Final = ("none", "cross-entropy")
SHOWN: Final = ("auc", "accuracy", "patient_recognition_rate")

Losses = tuple[str, str]
"""Similarity and classification loss."""


@dataclass(frozen=True)
class LossPredictions:
    """What the networks of one pair of losses predict.

    Attributes
    ----------
    held_out
        By weights chosen without the images.
    selected_on_test
        By the weights that are best on these very images, from a learner that offers them.
    """

    held_out: HeldOutPredictions
    selected_on_test: HeldOutPredictions | None


@dataclass(frozen=True)
class LossComparisonRow:
    """One row of the table.

    Attributes
    ----------
    figures
        Values by metric, with case-clustered intervals.
    differences
        Paired differences to no similarity loss with cross-entropy; none in that row itself.
    magnifications, selected_on_test
        By magnification, over folds as the paper has them; the latter by weights chosen on the
        test images, where there are such.
    """

    similarity: str
    classification: str
    figures: dict[str, Estimate]
    differences: dict[str, Estimate] | None
    magnifications: tuple[MagnificationSummary, ...] = ()
    selected_on_test: tuple[MagnificationSummary, ...] = ()


def compare_losses(
    make_learner: Callable[[str, str], Learner],
    labelled_set: LabelledSet,
    folds: int | Sequence[Fold] = 5,
    *,
    repeats: int = 1,
    validation_fraction: float = 0.2,
    seed: int = 0,
) -> Task[dict[Losses, LossPredictions]]:
    """Cross-validate every pair of losses on the same folds, with progress in folds.

    Parameters
    ----------
    make_learner
        Similarity and classification loss -> learner, otherwise the same.
    labelled_set, folds, repeats, validation_fraction, seed
        As for `cross_validation.cross_validation`.

    Returns
    -------
    dict[Losses, LossPredictions]
        All predictions of each pair of losses.
    """
    found: dict[Losses, LossPredictions] = {}
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
        in_folds = both_selections(running)
        found[losses] = yield from map_progress(in_folds, partial(_overall, place, len(pairs)))
    return found


def both_selections(
    running: Generator[FoldProgress, None, HeldOutPredictions],
) -> Task[LossPredictions]:
    """Go through a cross-validation, and return the predictions of both selections of weights."""
    selected: list[HeldOutPredictions] = []
    with closing(running):
        while True:
            try:
                fold = next(running)
            except StopIteration as end:
                return LossPredictions(end.value, join(selected) if selected else None)
            if fold.selected_on_test is not None:
                selected.append(fold.selected_on_test)
            yield fold


def _overall(place: int, pairs: int, progress: Progress) -> Progress:
    """Return how far all losses are, from how far those at one place are."""
    folds = progress.total
    return Progress(place * folds + progress.done, pairs * folds)


def loss_comparison_table(
    found: Mapping[Losses, LossPredictions], labelled_set: LabelledSet, *, draws: int = 1000
) -> list[LossComparisonRow]:
    """Return a row for each pair of losses, with its paired difference to the reference."""

    def by_magnification(
        predictions: HeldOutPredictions | None,
    ) -> tuple[MagnificationSummary, ...]:
        if predictions is None:
            return ()
        return summarise(predictions, labelled_set, draws=draws).magnifications

    rows = []
    for losses, both in found.items():
        own = both.held_out
        metrics = {name: estimate(own, labelled_set, name, draws=draws) for name in SHOWN}
        differences = None
        if losses != REFERENCE and REFERENCE in found:
            other = found[REFERENCE].held_out
            differences = {
                name: paired_difference(own, other, labelled_set, name, draws=draws)
                for name in SHOWN
            }
        rows.append(
            LossComparisonRow(
                *losses,
                metrics,
                differences,
                by_magnification(own),
                by_magnification(both.selected_on_test),
            )
        )
    return rows
