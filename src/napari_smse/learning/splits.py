"""Splits that never put one case on both sides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def case_folds(
    cases: Sequence[str], labels: Sequence[int], folds: int = 5, seed: int = 0
) -> NDArray[np.int64]:
    """Return each image's fold; a case lies in one fold as a whole.

    Cases are dealt out by kind (which classes they hold), so that every fold gets its
    share of each; among equals the fold with the fewest images of the kind comes first.

    Parameters
    ----------
    cases, labels
        Of each image.
    folds
        How many.
    seed
        Shuffles cases of equal size.

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
    fold_of = np.full(len(cases), -1, dtype=np.int64)
    total_cases = np.zeros(folds, dtype=np.int64)
    rng = np.random.default_rng(seed)
    for kind in sorted(kinds):
        sizes = {case: len(members[case]) for case in kinds[kind]}
        for case, fold in _deal(sizes, total_cases, rng):
            fold_of[members[case]] = fold
    return fold_of


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
