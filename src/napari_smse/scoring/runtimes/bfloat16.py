"""A network whose convolutions compute in bfloat16 on a CPU, with the errors of that held small."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn

_EXACT_CONVOLUTIONS: Final = 3
"""How many of the first convolutions stay float32: they see the largest maps with the fewest
channels, where bfloat16 is no faster and costs most accuracy (for EfficientNet-Lite0 half of the
error in the probabilities)."""


def in_bfloat16(network: nn.Module, tiles: Tensor) -> nn.Module:
    """Return a copy whose convolutions, but for the first few, compute in bfloat16.

    Rounding a weight to the 8 bits of bfloat16 is an error that every pixel repeats, so it does
    not average out. Three things take most of it away: the weights of a depthwise filter are
    rounded one after the other with the error carried on, which keeps their sum; what rounding
    shifts the mean of each channel by, on `tiles`, is taken off its bias (bias correction; Nagel
    et al., Data-Free Quantization Through Weight Equalization and Bias Correction, ICCV 2019,
    section 4.2); and biases stay float32.

    Parameters
    ----------
    network
        A folded network (`batchnorm_folding.fold_batchnorm`) on the CPU; it is not changed.
    tiles
        Tiles like those it will see, ``(n, 3, h, w)`` uint8.

    Returns
    -------
    The copy. Layers other than plain convolutions compute as before, in float32.
    """
    reduced = copy.deepcopy(network)
    means = _input_means(reduced, tiles)
    for name, mean in list(means.items())[_EXACT_CONVOLUTIONS:]:
        parent, _, attribute = name.rpartition(".")
        module = reduced.get_submodule(name)
        if isinstance(module, nn.Conv2d):
            setattr(reduced.get_submodule(parent), attribute, _Bfloat16Convolution(module, mean))
    for module in reduced.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):  # such as timm's that pad by themselves
            module.register_forward_pre_hook(_in_own_precision)
    return reduced


def _in_own_precision(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    weight = module.weight
    assert isinstance(weight, Tensor)
    return tuple(one.to(weight.dtype) for one in inputs)


class _Bfloat16Convolution(nn.Module):
    """A convolution of bfloat16 maps and weights with a float32 bias, which `nn.Conv2d` refuses."""

    weight: Tensor
    bias: Tensor

    def __init__(self, exact: nn.Conv2d, means: Tensor) -> None:
        super().__init__()
        weight = exact.weight.detach()
        depthwise = exact.groups == exact.in_channels
        rounded = _rounded_with_carry(weight) if depthwise else weight.bfloat16().float()
        shift = _mean_shift((rounded - weight).sum(dim=(2, 3)), means, exact.groups)
        bias = torch.zeros_like(shift) if exact.bias is None else exact.bias.detach()
        stored = rounded.bfloat16().contiguous(memory_format=torch.channels_last)
        self.register_buffer("weight", stored)
        self.register_buffer("bias", bias - shift)
        # Plain numbers, as looking them up in the other module at every call would take longer.
        self._padding = [int(side) for side in exact.padding]
        self._stride, self._dilation = list(exact.stride), list(exact.dilation)
        self._groups = exact.groups

    def forward(self, maps: Tensor) -> Tensor:
        """Return the convolved maps in bfloat16."""
        return torch.mkldnn_convolution(
            maps.bfloat16(),
            self.weight,
            self.bias,
            self._padding,
            self._stride,
            self._dilation,
            self._groups,
        )


def _is_plain(module: nn.Module) -> bool:
    """Whether a convolution is nothing but that: timm has some that pad by themselves."""
    return (
        type(module) is nn.Conv2d
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
    )


def _input_means(network: nn.Module, tiles: Tensor) -> dict[str, Tensor]:
    """Mean of each input channel of every plain convolution, in the order of use."""
    means: dict[str, Tensor] = {}

    def noting(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            means.setdefault(name, inputs[0].mean(dim=(0, 2, 3)))

        return note

    plain = [(name, module) for name, module in network.named_modules() if _is_plain(module)]
    handles = [module.register_forward_pre_hook(noting(name)) for name, module in plain]
    try:
        with torch.inference_mode():
            network(tiles)
    finally:
        for handle in handles:
            handle.remove()
    return {name: mean.clone() for name, mean in means.items()}


def _rounded_with_carry(weight: Tensor) -> Tensor:
    """Round each filter's weights to bfloat16, largest first, each taking over the error so far."""
    flat = weight.flatten(1).double()
    order = flat.abs().argsort(dim=1, descending=True)
    rounded, error = torch.empty_like(flat), torch.zeros(len(flat), dtype=torch.float64)
    for place in order.T.unsqueeze(2):
        exact = flat.gather(1, place).squeeze(1) + error
        nearest = exact.bfloat16().double()
        error = exact - nearest
        rounded.scatter_(1, place, nearest.unsqueeze(1))
    return rounded.view_as(weight).float()


def _mean_shift(difference: Tensor, means: Tensor, groups: int) -> Tensor:
    """By how much weights that differ by this, ``(out, in / groups)``, shift each output's mean."""
    grouped = difference.view(groups, -1, difference.shape[1])
    return torch.einsum("goi,gi->go", grouped, means.view(groups, -1)).flatten()
