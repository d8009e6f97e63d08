"""The controls a recipe has to be compared with: every loss with every other, same folds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.datasets.splits import Fold
from napari_smse.evaluation.cross_validation import Learner, cross_validation
from napari_smse.metrics.predictions import HeldOutPredictions, join
from napari_smse.metrics.summary import Estimate, estimate, paired_difference

SIMILARITIES: Final = ("none", "pair", "triplet")
CLASSIFICATIONS: Final = ("cross-entropy", "focal", "reinforced focal")
REFERENCE: Final = ("none", "cross-entropy")
SHOWN: Final = ("auc", "accuracy", "patient_recognition_rate")

Losses = tuple[str, str]
"""Similarity and classification loss."""


@dataclass(frozen=True)
class LossComparisonProgress:
    """A fold more is done.

    Attributes
    ----------
    done, total
        Folds over all losses.
    losses
        The pair of losses that the fold was trained with.
    held_out
        All predictions of these losses once their last fold is done.
    """

    done: int
    total: int
    losses: Losses
    held_out: HeldOutPredictions | None


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
) -> Iterator[LossComparisonProgress]:
    """Cross-validate every pair of losses on the same folds, and yield after each fold.

    Parameters
    ----------
    make_learner
        Similarity and classification loss -> learner, otherwise the same.
    labelled_set, folds, repeats, validation_fraction, seed
        As for `cross_validation.cross_validation`.
    """
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
        parts = []
        for fold in running:
            parts.append(fold.held_out)
            joined = join(parts) if fold.done == fold.total else None
            done = place * fold.total + fold.done
            yield LossComparisonProgress(done, len(pairs) * fold.total, losses, joined)


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
