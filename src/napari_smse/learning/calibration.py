"""Temperature scaling."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from napari_smse.network.smse_network import SmseNetwork


def fit_temperature(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> float:
    """Return the temperature with the least cross-entropy on held-out logits.

    Parameters
    ----------
    logits, labels
        ``(n, classes)`` and ``(n,)``, held out by case.
    weights
        Of each class.

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
