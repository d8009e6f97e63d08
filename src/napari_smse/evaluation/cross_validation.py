"""Protocols that measure a learner on cases it never saw.

A learner is anything that trains on some images and then predicts others; what it is,
the protocols do not know. Each hands out its training and validation side, and sees to it
that no case is predicted that was on either.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet
from napari_smse.datasets.splits import Fold, grouped_folds, hold_out, shared_cases
from napari_smse.errors import DataError, TrainingError
from napari_smse.metrics.predictions import HeldOutPredictions, join
from napari_smse.progress import Progress, run_task
from napari_smse.training.prediction import Predictor

_log = logging.getLogger(__name__)

Learner = Callable[[LabelledSet, Sequence[int], Sequence[int], int], Predictor]
"""Labelled set, training indices, validation indices, seed -> trained predictor."""


@runtime_checkable
class SelectsOnTestSet(Protocol):
    """A predictor that can also choose its weights by the test images themselves.

    Published metrics are often selected so; they are optimistic, and are only ever reported
    beside unbiased ones.
    """

    def __call__(self, images: Sequence[LabelledImage], /) -> Tensor:
        """Return the logits of weights chosen without the images."""

    def select_on_test(self, images: Sequence[LabelledImage], /) -> Tensor:
        """Return the logits of the weights that are best on these very images."""


@dataclass(frozen=True, kw_only=True)
class FoldProgress(Progress):
    """One more fold of a cross-validation over all repeats is trained and tested.

    Attributes
    ----------
    held_out
        Predictions of this fold's test side.
    selected_on_test
        The same with weights chosen on the test side, from a learner that offers it.
    predictor
        The trained predictor; for any case it learnt from, it raises `TrainingError`.
    fold
        The training and the test side.
    """

    held_out: HeldOutPredictions
    selected_on_test: HeldOutPredictions | None
    predictor: Predictor
    fold: Fold


def cross_validation(
    learner: Learner,
    labelled_set: LabelledSet,
    folds: int | Sequence[Fold] = 5,
    *,
    repeats: int = 1,
    validation_fraction: float = 0.2,
    seed: int = 0,
) -> Generator[FoldProgress, None, HeldOutPredictions]:
    """Train and test fold after fold, yield each as it is done, and return all predictions.

    Parameters
    ----------
    learner
        Learner to train anew for every fold.
    labelled_set
        The images.
    folds
        Number of folds to make, dealt anew by case for each repeat; or given ones, that all
        repeats use with another seed for the learner.
    repeats
        Number of times to go through all folds.
    validation_fraction
        Fraction of each training side's cases that the learner gets for choosing its
        weights; the test side is never used for that.
    seed
        Seed of folds, validation cases and learner.

    Raises
    ------
    DataError
        The images cannot be divided so, or a given fold has a case on both sides.
    TrainingError
        A learner predicts a case that it was trained on.
    """
    labelled_set.require_trainable()
    number = folds if isinstance(folds, int) else len(folds)
    parts = []
    for repeat in range(repeats):
        repeat_folds = (
            grouped_folds(labelled_set.images, folds, seed + repeat)
            if isinstance(folds, int)
            else folds
        )
        for position, fold in enumerate(repeat_folds):
            # Far apart, so that no two folds of any repeat share a seed.
            fold_seed = seed + 1000 * repeat + position
            predictor = train_fold(learner, labelled_set, fold, validation_fraction, fold_seed)
            test = fold.test.tolist()
            images = labelled_set.select(test)
            held_out = HeldOutPredictions.from_fold(test, predictor(images), position, repeat)
            selected_on_test = None
            if isinstance(predictor, SelectsOnTestSet):
                selected_on_test = HeldOutPredictions.from_fold(
                    test, predictor.select_on_test(images), position, repeat
                )
            done = repeat * number + position + 1
            parts.append(held_out)
            yield FoldProgress(
                done,
                repeats * number,
                f"fold {done} of {repeats * number}",
                held_out=held_out,
                selected_on_test=selected_on_test,
                predictor=predictor,
                fold=fold,
            )
    return join(parts)


def cross_validate(
    learner: Learner,
    labelled_set: LabelledSet,
    folds: int | Sequence[Fold] = 5,
    *,
    repeats: int = 1,
    validation_fraction: float = 0.2,
    seed: int = 0,
) -> HeldOutPredictions:
    """Return the predictions of all folds of `cross_validation`."""
    return run_task(
        cross_validation(
            learner,
            labelled_set,
            folds,
            repeats=repeats,
            validation_fraction=validation_fraction,
            seed=seed,
        )
    )


def train_fold(
    learner: Learner, labelled_set: LabelledSet, fold: Fold, validation_fraction: float, seed: int
) -> Predictor:
    """Train on a fold's training side; what comes back refuses cases it learnt from.

    Raises
    ------
    DataError
        A case is on both sides, or the training side lacks a class.
    """
    images = labelled_set.images
    if shared := shared_cases(images, fold.training.tolist(), fold.test.tolist()):
        raise DataError(f"Fold {fold.name} has {', '.join(shared)} on both sides: divide by case.")
    lacking = set(range(len(labelled_set.classes))) - {images[i].label for i in fold.training}
    if lacking:
        names = " or ".join(labelled_set.classes[label] for label in sorted(lacking))
        raise DataError(
            f"Fold {fold.name} has no image of {names} to train on: add cases, or ask for "
            "fewer folds."
        )
    training, validation = hold_out(images, fold.training.tolist(), validation_fraction, seed)
    _log.debug(
        "fold %s: %d training, %d validation, %d test images",
        fold.name,
        len(training),
        len(validation),
        len(fold.test),
    )
    predictor = learner(labelled_set, training, validation, seed)
    return refuse_seen_cases(predictor, labelled_set.select([*training, *validation]))


def refuse_seen_cases(predictor: Predictor, seen: Sequence[LabelledImage]) -> Predictor:
    """Return the predictor, made to raise `TrainingError` for cases of the images `seen`."""
    guarded = _UnseenOnlySelecting if isinstance(predictor, SelectsOnTestSet) else _UnseenOnly
    return guarded(predictor, seen)


class _UnseenOnly:
    """A predictor that refuses cases it learnt from."""

    def __init__(self, predictor: Predictor, seen: Sequence[LabelledImage]) -> None:
        self._predictor = predictor
        self._seen = {image.case for image in seen}

    def __call__(self, images: Sequence[LabelledImage], /) -> Tensor:
        self._check(images)
        return self._predictor(images)

    def _check(self, images: Sequence[LabelledImage]) -> None:
        if overlap := sorted(self._seen & {image.case for image in images}):
            raise TrainingError(
                f"{', '.join(overlap[:3])} would be predicted by a network that was trained on it: "
                "such a figure means nothing, so divide the images by case."
            )


class _UnseenOnlySelecting(_UnseenOnly):
    def select_on_test(self, images: Sequence[LabelledImage], /) -> Tensor:
        self._check(images)
        assert isinstance(self._predictor, SelectsOnTestSet)
        return self._predictor.select_on_test(images)


def leave_source_out(
    learner: Learner,
    labelled_set: LabelledSet,
    source: str,
    *,
    validation_fraction: float = 0.2,
    seed: int = 0,
) -> HeldOutPredictions:
    """Train on all other sources and predict all images of `source`.

    Raises
    ------
    DataError
        There is no such source, or no other.
    """
    inside = np.array([image.source == source for image in labelled_set.images], dtype=bool)
    if not inside.any() or inside.all():
        names = ", ".join(sorted({image.source for image in labelled_set.images}))
        raise DataError(
            f"Source {source!r} cannot be left out of {names}: name one of several sources."
        )
    fold = Fold(f"without {source}", np.flatnonzero(~inside), np.flatnonzero(inside))
    predictor = train_fold(learner, labelled_set, fold, validation_fraction, seed)
    test = fold.test.tolist()
    return HeldOutPredictions.from_fold(test, predictor(labelled_set.select(test)))


def leave_scale_out(
    learner: Learner,
    labelled_set: LabelledSet,
    magnification: str,
    folds: int | Sequence[Fold] = 5,
    *,
    validation_fraction: float = 0.2,
    seed: int = 0,
) -> tuple[HeldOutPredictions, HeldOutPredictions]:
    """Predict one magnification's images without and with that magnification in training.

    Both go through the same case-grouped folds and test the same images, so that
    their paired difference is the effect of training at the very scale.

    Returns
    -------
    tuple[HeldOutPredictions, HeldOutPredictions]
        Trained on the other magnifications only; trained on all.

    Raises
    ------
    DataError
        There is no such magnification, or no other.
    """
    images = labelled_set.images
    inside = np.array([image.magnification == magnification for image in images], dtype=bool)
    if not inside.any() or inside.all():
        names = ", ".join(sorted({image.magnification or "none stated" for image in images}))
        raise DataError(
            f"Magnification {magnification!r} cannot be left out of {names}: name one of several."
        )
    all_folds = grouped_folds(images, folds, seed) if isinstance(folds, int) else folds
    tested = [Fold(f.name, f.training, f.test[inside[f.test]]) for f in all_folds]
    tested = [fold for fold in tested if len(fold.test)]
    without = [Fold(f.name, f.training[~inside[f.training]], f.test) for f in tested]
    first, second = (
        cross_validate(
            learner, labelled_set, chosen_folds, validation_fraction=validation_fraction, seed=seed
        )
        for chosen_folds in (without, tested)
    )
    return first, second
