"""A figure with what it rests on: tiles, cases, and an interval; and what is missing for an AUC.

Tiles of one case are alike: a figure that counts each of them for itself says more than it knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

MIN_TILES: Final = 10
"""Fewer tiles, or images, of a class give no AUC."""

MIN_CASES: Final = 2
"""Fewer cases of a class give no AUC."""

_Z: Final = 1.959964
"""Of a normal distribution, 95 % lies within so many standard deviations."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; None where the data do not give it.

    Attributes
    ----------
    value, low, high
        The figure and its interval.
    n, cases
        How many tiles, or images, and cases it is of; None if that is not recorded.
    reason
        Why there is no figure, where that is known.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    cases: int | None = None
    reason: str = ""


def auc_shortfall(
    labels: ArrayLike, cases: Sequence[object], classes: Sequence[str], unit: str = "tiles"
) -> str:
    """Return what is missing before there is an AUC, for a person; empty if nothing is.

    Each class needs `MIN_TILES` tiles of `MIN_CASES` cases.

    Parameters
    ----------
    labels
        ``(n,)``, indices into `classes`.
    cases
        ``(n,)``, of each tile.
    classes
        Names.
    unit
        What is counted: tiles, or images.
    """
    number = np.asarray(labels)
    lacking = []
    for label, name in enumerate(classes):
        own = np.flatnonzero(number == label)
        missing_tiles = MIN_TILES - len(own)
        missing_cases = MIN_CASES - len({cases[row] for row in own.tolist()})
        parts = [
            counted(missing, word)
            for missing, word in ((missing_tiles, unit), (missing_cases, "cases"))
            if missing > 0
        ]
        if parts:
            lacking.append(f"{name} lacks {' and '.join(parts)}")
    if not lacking:
        return ""
    needed = f"each class needs {MIN_TILES} {unit} of {MIN_CASES} cases"
    return f"{needed}; {', '.join(lacking)}"


def case_shortfall(positive: ArrayLike, names: tuple[str, str]) -> str:
    """Return what is missing before there is an AUC of cases; empty if nothing is.

    Each class needs `MIN_CASES` cases.

    Parameters
    ----------
    positive
        ``(n,)``, whether each case is of the class that is looked for.
    names
        Of the other cases, and of that class.
    """
    is_positive = np.asarray(positive, dtype=bool)
    numbers = (int((~is_positive).sum()), int(is_positive.sum()))
    lacking = [
        f"{name} lacks {counted(MIN_CASES - number, 'cases')}"
        for name, number in zip(names, numbers, strict=True)
        if number < MIN_CASES
    ]
    return f"each class needs {MIN_CASES} cases; {', '.join(lacking)}" if lacking else ""


def counted(number: int, plural: str) -> str:
    """Return ``1 tile``, ``12 tiles``."""
    return f"{number:,} {plural.removesuffix('s') if number == 1 else plural}"


def percent(share: float) -> str:
    """Return ``12 %``."""
    return f"{share:.0%}".replace("%", " %")


def share_estimate(hits: ArrayLike, groups: Sequence[object] | None = None) -> Estimate:
    """Return the share of hits with its 95 % interval, which is never of no width.

    Wilson's interval (Journal of the American Statistical Association 1927), by as many
    independent tiles as the spread between groups says there are (Kish, Survey Sampling 1965): at
    most the number of tiles, at least that of groups.

    Parameters
    ----------
    hits
        ``(n,)``, true or false.
    groups
        ``(n,)``, what is alike, such as the case; each tile is one of its own by default.
    """
    hit = np.asarray(hits, dtype=np.float64)
    if not len(hit):
        return Estimate(None, n=0, cases=0)
    numbered = np.arange(len(hit))
    if groups is not None:
        numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
        numbered = np.array([numbers[group] for group in groups])
    share = float(hit.mean())
    low, high = _wilson(share, _independent(hit, numbered, share))
    return Estimate(share, low, high, len(hit), None if groups is None else int(numbered.max()) + 1)


def mean_estimate(
    values: ArrayLike, groups: Sequence[object], *, draws: int = 1000, seed: int = 0
) -> Estimate:
    """Return a mean with its 95 % percentile interval from drawing whole groups.

    Parameters
    ----------
    values
        ``(n,)``, such as how much better each tile is called than before.
    groups
        ``(n,)``, what is alike, such as the case.
    draws, seed
        Number of bootstrap draws, and their seed.
    """
    value = np.asarray(values, dtype=np.float64)
    if not len(value):
        return Estimate(None, n=0, cases=0)
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    numbered = np.array([numbers[group] for group in groups])
    mean, several = float(value.mean()), len(numbers)
    if several < 2:
        return Estimate(mean, n=len(value), cases=several)
    sums, sizes = np.bincount(numbered, value), np.bincount(numbered)
    drawn = np.random.default_rng(seed).multinomial(several, [1 / several] * several, size=draws)
    low, high = np.percentile((drawn @ sums) / (drawn @ sizes), [2.5, 97.5])
    return Estimate(mean, float(low), float(high), len(value), several)


def _independent(hit: NDArray[np.float64], group: NDArray[np.intp], share: float) -> float:
    """Return how many independent tiles spread as these do from group to group."""
    groups, number = int(group.max()) + 1, len(hit)
    off = np.bincount(group, hit - share)
    if groups == number or groups < 2:
        return float(groups)
    variance = groups / (groups - 1) * float((off**2).sum()) / number**2
    if variance <= 0:
        return float(groups)
    return float(np.clip(share * (1 - share) / variance, groups, number))


def _wilson(share: float, number: float) -> tuple[float, float]:
    square = _Z**2 / number
    middle = (share + square / 2) / (1 + square)
    reach = _Z / (1 + square) * np.sqrt(share * (1 - share) / number + square / (4 * number))
    return float(max(0.0, middle - reach)), float(min(1.0, middle + reach))
