"""Which cases are held out, class by class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def held_out(
    labels: NDArray[np.intp], cases: NDArray[np.str_], rng: np.random.Generator
) -> list[str]:
    """Return half of the cases of each class, a case counting for the class it has most of.

    Parameters
    ----------
    labels, cases
        ``(n,)``, of each tile.
    rng
        Of the draws.
    """
    held_out: list[str] = []
    for of_class in _by_class(labels, cases):
        if len(of_class) == 1:
            # Others may hold some tiles of its class.
            held_out += of_class if rng.random() < 0.5 else []
            continue
        order = rng.permutation(len(of_class))
        held_out += [of_class[number] for number in order[: len(of_class) // 2]]
    return held_out


def held_out_aside(
    labels: NDArray[np.intp],
    cases: NDArray[np.str_],
    along: NDArray[np.float64],
    rng: np.random.Generator,
) -> list[str]:
    """Return the cases of each class that lie to one side and have about half of its tiles.

    Held out like this, few of the others lie near them.

    Parameters
    ----------
    labels, cases
        ``(n,)``, of each tile.
    along
        ``(n,)``, how far each tile lies to the other side.
    rng
        Of the draws, of a class that is the most of one case only.
    """
    held_out: list[str] = []
    for of_class in _by_class(labels, cases):
        if len(of_class) == 1:
            held_out += of_class if rng.random() < 0.5 else []
            continue
        rows = [np.flatnonzero(cases == case) for case in of_class]
        order = np.argsort([along[row].mean() for row in rows])
        sizes = np.array([len(rows[number]) for number in order])
        aside = np.cumsum(sizes) - sizes / 2 < sizes.sum() / 2
        aside[0], aside[-1] = True, False
        held_out += [of_class[number] for number in order[aside]]
    return held_out


def _by_class(labels: NDArray[np.intp], cases: NDArray[np.str_]) -> list[list[str]]:
    """Return the cases of each class, a case counting for the class it has most of."""
    by_class: dict[int, list[str]] = {}
    for case in np.unique(cases):
        by_class.setdefault(int(np.bincount(labels[cases == case]).argmax()), []).append(str(case))
    return list(by_class.values())
