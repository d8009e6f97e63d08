"""Splits that never put one case on both sides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_smse.datasets.labelled_set import LabelledImage
from napari_smse.errors import DataError


@dataclass(frozen=True)
class Fold:
    """One division of labelled images; images on neither side are left out.

    Attributes
    ----------
    name
        Name in tables and messages.
    training, test
        Indices of images; no case is on both sides.
    """

    name: str
    training: NDArray[np.int64]
    test: NDArray[np.int64]


def case_folds(
    cases: Sequence[str], labels: Sequence[int], folds: int = 5, seed: int = 0
) -> NDArray[np.int64]:
    """Return each image's fold; a case lies in one fold as a whole.

    Cases are dealt out by kind (which classes they hold), so that every fold gets its
    share of each; among equals the fold with the fewest images of the kind comes first.

    Parameters
    ----------
    cases, labels
        Case and label of each image.
    folds
        Number of folds.
    seed
        Seed that shuffles cases of equal size.

    Raises
    ------
    ValueError
        There are fewer cases than folds.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for index, case in enumerate(cases):
        members[case].append(index)
    if folds < 2 or len(members) < folds:
        raise ValueError(f"{len(members)} cases cannot be split into {folds} folds.")
    kinds: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for case, indices in members.items():
        kinds[tuple(sorted({labels[i] for i in indices}))].append(case)
    folds_by_image = np.full(len(cases), -1, dtype=np.int64)
    total_cases = np.zeros(folds, dtype=np.int64)
    rng = np.random.default_rng(seed)
    for kind in sorted(kinds):
        sizes = {case: len(members[case]) for case in kinds[kind]}
        for case, fold in _deal(sizes, total_cases, rng):
            folds_by_image[members[case]] = fold
    return folds_by_image


def _deal(
    sizes: dict[str, int], total_cases: NDArray[np.int64], rng: np.random.Generator
) -> list[tuple[str, int]]:
    """Deal cases, large ones first, to the fold with fewest cases, then fewest images."""
    names = [list(sizes)[i] for i in rng.permutation(len(sizes))]
    names.sort(key=lambda name: -sizes[name])
    folds = len(total_cases)
    cases, images = [0] * folds, [0] * folds
    dealt = []
    for name in names:
        fold = min(range(folds), key=lambda f: (cases[f], images[f], total_cases[f], f))
        cases[fold] += 1
        images[fold] += sizes[name]
        total_cases[fold] += 1
        dealt.append((name, fold))
    return dealt


def grouped_folds(images: Sequence[LabelledImage], folds: int = 5, seed: int = 0) -> list[Fold]:
    """Divide images into folds by case, each class of each source dealt out evenly.

    Every image is in the test side of exactly one fold.

    Raises
    ------
    DataError
        There are fewer cases than folds.
    """
    kinds = sorted({(image.source, image.label) for image in images})
    labels = [kinds.index((image.source, image.label)) for image in images]
    try:
        folds_by_image = case_folds([image.case for image in images], labels, folds, seed)
    except ValueError as error:
        raise DataError(f"{error} Add cases, or ask for fewer folds (at least 2).") from error
    return [
        Fold(
            str(fold + 1),
            np.flatnonzero(folds_by_image != fold),
            np.flatnonzero(folds_by_image == fold),
        )
        for fold in range(folds)
    ]


def shared_cases(
    images: Sequence[LabelledImage], first: Sequence[int], second: Sequence[int]
) -> list[str]:
    """Return the cases that have images among both `first` and `second`, sorted."""
    return sorted({images[i].case for i in first} & {images[i].case for i in second})


def validation_cases(
    images: Sequence[LabelledImage], fraction: float = 0.2, seed: int = 0
) -> frozenset[str]:
    """Choose cases to hold out of a training, for choosing weights and for calibration.

    Of the cases of each kind (source and the classes they hold) a `fraction` is chosen, at
    least one and never all: a kind of one case stays in training.

    Parameters
    ----------
    images
        The training side.
    fraction
        Fraction of the cases to hold out, from 0 to below 1.
    seed
        Seed of the choice.

    Raises
    ------
    DataError
        The fraction is not in [0, 1).
    """
    if not 0 <= fraction < 1:
        raise DataError(f"A validation share of {fraction} is impossible: give one from 0 to 0.9.")
    contents: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for image in images:
        contents[image.case].add((image.source, image.label))
    kinds: dict[tuple[tuple[str, int], ...], list[str]] = defaultdict(list)
    for case in sorted(contents):
        kinds[tuple(sorted(contents[case]))].append(case)
    rng = np.random.default_rng(seed)
    chosen: set[str] = set()
    for kind in sorted(kinds):
        cases = kinds[kind]
        count = min(max(1, round(fraction * len(cases))), len(cases) - 1) if fraction else 0
        chosen |= {cases[i] for i in rng.permutation(len(cases))[:count]}
    return frozenset(chosen)


def hold_out(
    images: Sequence[LabelledImage], indices: Sequence[int], fraction: float = 0.2, seed: int = 0
) -> tuple[list[int], list[int]]:
    """Divide `indices` into those to learn from and those of held-out validation cases."""
    chosen = validation_cases([images[i] for i in indices], fraction, seed)
    training = [int(i) for i in indices if images[i].case not in chosen]
    return training, [int(i) for i in indices if images[i].case in chosen]
