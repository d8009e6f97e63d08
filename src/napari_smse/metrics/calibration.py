"""How far probabilities can be trusted: temperature, calibration error, abstaining, outliers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional

from napari_smse.models.smse_network import SmseNetwork


def fit_temperature(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> float:
    """Return the temperature with the least cross-entropy on held-out logits.

    Parameters
    ----------
    logits, labels
        ``(n, classes)`` and ``(n,)``, held out by case.
    weights
        Weight of each class, ``(classes,)``.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger: On calibration of modern neural networks, ICML 2017.
    """
    grid = torch.logspace(-1, 1.5, 251, dtype=torch.float64)
    losses = [
        functional.cross_entropy(
            logits.double() / t, labels, None if weights is None else weights.double()
        )
        for t in grid
    ]
    return float(grid[int(torch.stack(losses).argmin())])


def apply_temperature(network: SmseNetwork, temperature: float) -> None:
    """Divide the network's logits by `temperature`, inside its class head."""
    with torch.no_grad():
        network.class_head.weight.div_(temperature)
        network.class_head.bias.div_(temperature)


def expected_calibration_error(
    probabilities: ArrayLike, labels: ArrayLike, bins: int = 15, weights: ArrayLike | None = None
) -> float:
    """Return how far confidence and accuracy lie apart, on average over images.

    The confidence, the largest of an image's probabilities, is cut into `bins` of equal
    width, closed above: ``sum over bins of share * |accuracy - mean confidence|``.

    Parameters
    ----------
    probabilities
        ``(n, classes)``, rows add up to 1.
    labels
        ``(n,)`` class indices.
    bins
        Number of bins.
    weights
        ``(n,)`` weights of the images, not negative; equal by default.

    Returns
    -------
    float
        0 (calibrated) to 1; NaN if there is no image, or all weights are 0.

    References
    ----------
    Naeini, Cooper, Hauskrecht: Obtaining well calibrated probabilities using Bayesian
    binning, AAAI 2015; as in Guo et al., ICML 2017, equation 3.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    weight = _weights(weights, len(values))
    if weight.sum() <= 0:
        return float("nan")
    confidence = values.max(axis=1)
    right = values.argmax(axis=1) == np.asarray(labels)
    edges = np.linspace(0, 1, bins + 1)
    inside = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    gap = np.bincount(inside, weight * (right - confidence), minlength=bins)
    return float(np.abs(gap).sum() / weight.sum())


@dataclass(frozen=True)
class AbstainBand:
    """The probabilities around 0.5 at which nothing is decided.

    Attributes
    ----------
    half_width
        A probability p is decided if it lies at least this far from 0.5; above 0.5, none
        is.
    accuracy
        Accuracy on the held-out images that are decided; NaN if none is.
    coverage
        Fraction of the held-out images that is decided.
    target
        Accuracy that was required.
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
    min_coverage: float = 0.1,
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
    min_coverage
        A band that decides less than this fraction of the images does not count: a few that
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
    weight = _weights(weights, len(values))
    truth = np.asarray(labels).astype(bool)
    away = np.abs(values - 0.5)
    order = np.argsort(-away, kind="stable")
    decided = np.cumsum(weight[order])
    right = np.cumsum((weight * ((values >= 0.5) == truth))[order])
    # Images as far from 0.5 as each other are decided together.
    last_of_equals = np.flatnonzero(np.r_[away[order][1:] != away[order][:-1], len(away) > 0])
    coverage = decided[last_of_equals] / max(weight.sum(), np.finfo(float).tiny)
    accuracy = right[last_of_equals] / np.maximum(decided[last_of_equals], np.finfo(float).tiny)
    reached = np.flatnonzero((accuracy >= target) & (coverage >= max(min_coverage, 1e-12)))
    if not reached.size:
        return AbstainBand(float("inf"), float("nan"), 0.0, target)
    widest = int(reached[-1])
    # Where the last image is decided too, so is all that lies nearer to 0.5.
    everything = widest == len(last_of_equals) - 1
    width = 0.0 if everything else float(away[order][last_of_equals[widest]])
    return AbstainBand(width, float(accuracy[widest]), float(coverage[widest]), target)


def outlier_thresholds(
    distances: ArrayLike, scales: ArrayLike, fraction: float = 0.95
) -> dict[float, float]:
    """Return at each scale the distance that a fraction of held-out tiles does not exceed.

    A tile further than that from what the model was trained on is out of distribution.

    Parameters
    ----------
    distances
        ``(n,)`` distances of held-out tiles to their nearest exemplar or prototype.
    scales
        ``(n,)`` um/px of the tiles.
    fraction
        Fraction of the held-out tiles to be taken for in-distribution, 0..1.

    Returns
    -------
    dict
        Threshold by um/px, finest first: the quantile, linear between neighbours.

    Raises
    ------
    ValueError
        A distance is not a finite number.
    """
    values = np.asarray(distances, dtype=np.float64)
    mpps = np.asarray(scales, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("Distances must be finite numbers.")
    return {
        float(mpp): float(np.quantile(values[mpps == mpp], fraction)) for mpp in np.unique(mpps)
    }


def _weights(weights: ArrayLike | None, count: int) -> NDArray[np.float64]:
    return np.ones(count) if weights is None else np.asarray(weights, dtype=np.float64)
