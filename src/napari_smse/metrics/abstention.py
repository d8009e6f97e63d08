"""Probabilities between which nothing is called, so that what is called is right often enough."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class AbstainBand:
    """The probabilities around 0.5 at which nothing is decided.

    Attributes
    ----------
    half_width
        A probability p is decided if it lies at least this far from 0.5; above 0.5, none
        is.
    accuracy
        Of the held-out images that are decided; NaN if none is.
    coverage
        Share of the held-out images that is decided.
    target
        The accuracy that was asked for.
    """

    half_width: float
    accuracy: float
    coverage: float
    target: float

    @property
    def low(self) -> float:
        """Lower end of the band, 0 if nothing can be decided."""
        return max(0.0, 0.5 - self.half_width)

    @property
    def high(self) -> float:
        """Upper end of the band, 1 if nothing can be decided."""
        return min(1.0, 0.5 + self.half_width)

    def decided(self, probabilities: ArrayLike) -> NDArray[np.bool_]:
        """Tell which probabilities of the second class, ``(n,)``, are decided."""
        away = np.abs(np.asarray(probabilities, dtype=np.float64) - 0.5)
        return np.asarray(away >= self.half_width)


def abstain_band(
    probabilities: ArrayLike,
    labels: ArrayLike,
    target: float = 0.9,
    *,
    weights: ArrayLike | None = None,
    least_coverage: float = 0.1,
) -> AbstainBand:
    """Return the narrowest band around 0.5 outside of which the target accuracy is reached.

    Parameters
    ----------
    probabilities
        ``(n,)`` of the second of two classes, or ``(n, 2)``, held out by case.
    labels
        ``(n,)``, 0 or 1.
    target
        Accuracy to reach, 0..1.
    weights
        ``(n,)``; one over the number of images of its case lets cases count alike.
    least_coverage
        A band that decides less than this share of the images does not count: a few that
        are right by chance promise nothing. Then nothing is decided at all.

    Raises
    ------
    ValueError
        There are not two classes.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    if values.ndim == 2:
        if values.shape[1] != 2:
            raise ValueError(f"A band around 0.5 needs two classes, not {values.shape[1]}.")
        values = values[:, 1]
    weight = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    truth = np.asarray(labels).astype(bool)
    away = np.abs(values - 0.5)
    order = np.argsort(-away, kind="stable")
    decided = np.cumsum(weight[order])
    right = np.cumsum((weight * ((values >= 0.5) == truth))[order])
    # Images as far from 0.5 as each other are decided together.
    last_alike = np.flatnonzero(np.r_[away[order][1:] != away[order][:-1], len(away) > 0])
    coverage = decided[last_alike] / max(weight.sum(), np.finfo(float).tiny)
    accuracy = right[last_alike] / np.maximum(decided[last_alike], np.finfo(float).tiny)
    good = np.flatnonzero((accuracy >= target) & (coverage >= max(least_coverage, 1e-12)))
    if not good.size:
        return AbstainBand(float("inf"), float("nan"), 0.0, target)
    best = int(good[-1])
    # Where the last image is decided too, so is all that lies nearer to 0.5.
    everything = best == len(last_alike) - 1
    width = 0.0 if everything else float(away[order][last_alike[best]])
    return AbstainBand(width, float(accuracy[best]), float(coverage[best]), target)
