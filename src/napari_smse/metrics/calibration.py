"""How far probabilities can be trusted: temperature and calibration error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from torch import Tensor

    from napari_smse.models.smse_network import SmseNetwork


def fit_temperature(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> float:
    """Return the temperature with the least cross-entropy on held-out logits.

    Parameters
    ----------
    logits, labels
        ``(n, classes)`` and ``(n,)``, held out by case.
    weights
        Of each image, ``(n,)``; all alike by default.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger: On calibration of modern neural networks, ICML 2017.
    """
    import torch
    from torch.nn import functional

    grid = torch.logspace(-1, 1.5, 251, dtype=torch.float64)
    share = torch.ones(len(labels)) if weights is None else weights
    losses = [
        (functional.cross_entropy(logits.double() / t, labels, reduction="none") * share).sum()
        for t in grid
    ]
    return float(grid[int(torch.stack(losses).argmin())])


def apply_temperature(network: SmseNetwork, temperature: float) -> None:
    """Divide the network's logits by `temperature`, inside its class head."""
    import torch

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
    weight = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    if weight.sum() <= 0:
        return float("nan")
    confidence = values.max(axis=1)
    right = values.argmax(axis=1) == np.asarray(labels)
    edges = np.linspace(0, 1, bins + 1)
    inside = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    gap = np.bincount(inside, weight * (right - confidence), minlength=bins)
    return float(np.abs(gap).sum() / weight.sum())
