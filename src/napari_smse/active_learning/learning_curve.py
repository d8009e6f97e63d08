"""What is reached with so many labels, and whether further ones would help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

_MATTERS: Final = 0.02
"""A smaller difference in what is called right matters to nobody."""

Verdict = Literal["helps", "hardly", "full", "untold"]
"""Whether further labels help, hardly do, cannot as all is called right, or cannot be told to."""


@dataclass(frozen=True)
class Curve:
    """What is reached with so many labels, each ``(splits, budgets)``.

    Attributes
    ----------
    accuracy
        Mean over the classes of the share of held-out tiles called right.
    auc
        Of each class against the rest, averaged; NaN where too few tiles are held out.
    """

    accuracy: NDArray[np.float64]
    auc: NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """A difference of shares, split by split.

    Attributes
    ----------
    mean
        Over the splits.
    spread
        Standard deviation over the splits. Not divided by the root of their number: splits overlap,
        and for halves the corrected standard error (Nadeau and Bengio, Machine Learning 2003) is
        about the standard deviation itself.
    """

    mean: float
    spread: float

    @property
    def is_clear(self) -> bool:
        """Whether it is larger than its spread."""
        return abs(self.mean) > self.spread


@dataclass(frozen=True)
class LabelEfficiency:
    """Labels asked for by the queue against labels at random, on the same splits.

    Attributes
    ----------
    budgets
        ``(b,)``, how many tiles are labelled; as many as every split has to learn from, at most.
    queue, random
        What is reached.
    """

    budgets: NDArray[np.intp]
    queue: Curve
    random: Curve

    @property
    def gain(self) -> Difference:
        """What the last step brought, such as from 16 to 32 labels, in the better order."""
        accuracy = self.better.accuracy
        return _difference(accuracy[:, -1] - accuracy[:, -2])

    @property
    def lead(self) -> Difference:
        """How much more the queue's labels teach than random ones; the mean over the budgets.

        But for the first budget, with which a class may be without a label by chance alone.
        """
        return _difference((self.queue.accuracy - self.random.accuracy)[:, 1:].mean(axis=1))

    @property
    def is_queue_better(self) -> bool:
        """Whether the queue's labels clearly teach more."""
        return self.lead.is_clear and self.lead.mean > 0

    @property
    def better(self) -> Curve:
        """That of random order, unless the queue's is clearly better."""
        return self.queue if self.is_queue_better else self.random

    @property
    def verdict(self) -> Verdict:
        """Whether further labels help, by what the last step brought."""
        gain = self.gain
        if self.better.accuracy[:, -1].mean() > 1 - _MATTERS:
            return "full"
        if gain.is_clear and gain.mean >= _MATTERS:
            return "helps"
        if gain.mean < _MATTERS and gain.mean + gain.spread < 2 * _MATTERS:
            return "hardly"
        return "untold"


def _difference(values: NDArray[np.float64]) -> Difference:
    spread = float(values.std(ddof=1)) if len(values) > 1 else float("inf")
    return Difference(float(values.mean()), spread)
