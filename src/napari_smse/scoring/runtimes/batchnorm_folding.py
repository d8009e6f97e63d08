"""Convolutions that carry the batch normalisation that follows them, for inference only."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights


def fold_batchnorm(network: nn.Module) -> nn.Module:
    """Return a copy in which a convolution does what the normalisation behind it did.

    In evaluation mode a batch normalisation is a factor and an offset per channel, which the
    convolution before it can carry: the same outputs but for rounding, and fewer passes over
    the maps, which is most of what a small network costs on a CPU.

    A convolution counts as followed by the normalisation registered right after it, as long as
    their channels agree. As that is a custom and not a rule, whoever uses the copy compares it
    with the original.

    Parameters
    ----------
    network
        Any network; it is not changed.

    Returns
    -------
    The copy, in evaluation mode, its convolutions in the channels-last format.
    """
    folded = copy.deepcopy(network).eval()
    for module in list(folded.modules()):
        _fold_children(module)
    return folded.to(memory_format=torch.channels_last)


def _fold_children(parent: nn.Module) -> None:
    before: nn.Module | None = None
    for name, child in list(parent.named_children()):
        if isinstance(before, nn.Conv2d) and _follows(before, child):
            _carry(before, child)
            # timm's normalisations hold the activation that comes after.
            activation: Any = getattr(child, "act", None)
            setattr(parent, name, activation or nn.Identity())
        before = child


def _follows(convolution: nn.Conv2d, child: nn.Module) -> bool:
    return (
        isinstance(child, nn.BatchNorm2d)
        and child.track_running_stats
        and child.num_features == convolution.out_channels
    )


def _carry(convolution: nn.Conv2d, normalisation: Any) -> None:
    weight, bias = fuse_conv_bn_weights(
        convolution.weight,
        convolution.bias,
        normalisation.running_mean,
        normalisation.running_var,
        normalisation.eps,
        normalisation.weight,
        normalisation.bias,
    )
    convolution.weight, convolution.bias = (
        nn.Parameter(weight.detach()),
        nn.Parameter(bias.detach()),
    )
