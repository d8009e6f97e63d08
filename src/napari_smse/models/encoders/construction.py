"""Encoders as torch modules: built as their records say, and pooled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

import torch
from torch import Tensor, nn

from napari_smse.errors import ModelError
from napari_smse.models.encoders.encoder import REBUILT_HERE, Architecture, Encoder, Pooling
from napari_smse.models.encoders.rebuilt_networks import REBUILT
from napari_smse.models.trunk import Trunk

_LAYER_ARGUMENTS: Final = ("mlp_layer", "act_layer")
_CONFIGURATIONS: Final = {
    "ViTModel": "ViTConfig",
    "Dinov2Model": "Dinov2Config",
    "Dinov2WithRegistersModel": "Dinov2WithRegistersConfig",
}


class EncoderTrunk(Trunk):
    """An encoder of the catalogue as the trunk of a network.

    Parameters
    ----------
    body
        Gives the tokens ``(n, tokens, width)`` of normalised images, prefix tokens (class token,
        registers) first, or features ``(n, features)`` that are pooled already.
    encoder
        What it is.
    prefix_tokens
        How many of the tokens are no patches.
    """

    def __init__(self, body: nn.Module, encoder: Encoder, prefix_tokens: int) -> None:
        super().__init__(body, encoder.features, *encoder.normalisation)
        self.encoder = encoder
        self.pooling = encoder.pooling
        self.prefix_tokens = prefix_tokens
        self.weights_sha256 = ""

    @property
    def name(self) -> str:
        """Of the trunk of a network."""
        return self.encoder.trunk_name

    @property
    def is_stored_apart(self) -> bool:
        """Its weights lie in a file of their own, which is large and under its own licence."""
        return True

    def forward(self, images: Tensor, tissue: Tensor | None = None) -> Tensor:
        """Return features ``(n, features)`` of normalised images ``(n, 3, h, w)``."""
        output = self.body(images)
        if self.pooling is Pooling.OWN:
            return cast("Tensor", output)
        return pool_tokens(output, self.pooling, self.prefix_tokens)


def pool_tokens(tokens: Tensor, pooling: Pooling, prefix_tokens: int) -> Tensor:
    """Return the features of a tile's tokens.

    Parameters
    ----------
    tokens
        ``(n, tokens, width)``, the class token first, then registers, then patches.
    pooling
        The class token ``(n, width)``, or it and the mean of the patches ``(n, 2 * width)``.
    prefix_tokens
        How many of the tokens are no patches; none of them is in the mean.
    """
    class_token = tokens[:, 0]
    if pooling is Pooling.CLASS_TOKEN:
        return class_token
    return torch.cat([class_token, tokens[:, prefix_tokens:].mean(dim=1)], dim=1)


def build_encoder(encoder: Encoder) -> EncoderTrunk:
    """Build an encoder without its weights; on the device of torch's context.

    Raises
    ------
    ModelError
        It needs transformers, and that is not installed.
    """
    body: nn.Module
    if encoder.architecture.library == "timm":
        body, prefix_tokens = _timm_body(encoder.architecture, encoder.pooling)
    elif encoder.architecture.library == REBUILT_HERE:
        architecture = encoder.architecture
        body, prefix_tokens = REBUILT[architecture.name](**architecture.arguments), 0
    else:
        body, prefix_tokens = _transformers_body(encoder.architecture, encoder.input_px)
    return EncoderTrunk(body.eval(), encoder, prefix_tokens)


class _TimmTokens(nn.Module):
    """timm's network, read before its own pooling."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return cast("Tensor", cast("Any", self.network).forward_features(images))


class _LastHiddenState(nn.Module):
    """A network of transformers, of which only the last layer's tokens are wanted."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return cast("Tensor", self.network(pixel_values=images).last_hidden_state)


def _timm_body(architecture: Architecture, pooling: Pooling) -> tuple[nn.Module, int]:
    import timm

    network: Any = timm.create_model(
        architecture.name, pretrained=False, **_with_layers(architecture.arguments)
    )
    if pooling is Pooling.OWN:
        return network, 0
    return _TimmTokens(network), int(network.num_prefix_tokens)


def _with_layers(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments with layers in the place of their names."""
    from timm import layers

    found = dict(arguments)
    for key in _LAYER_ARGUMENTS:
        if key in found:
            found[key] = getattr(layers, found[key], None) or getattr(nn, found[key])
    return found


def _transformers_body(architecture: Architecture, input_px: int) -> tuple[nn.Module, int]:
    try:
        import transformers
    except ImportError as error:
        raise ModelError(
            'This encoder is built by transformers: run pip install "napari-smse[encoders]".'
        ) from error
    make_configuration: Any = getattr(transformers, _CONFIGURATIONS[architecture.name])
    arguments = {"image_size": input_px, **architecture.arguments}
    configuration = make_configuration(**arguments)
    make_network: Any = getattr(transformers, architecture.name)
    # A ViT has a pooling layer of its own, which no one trained.
    options = {"add_pooling_layer": False} if architecture.name == "ViTModel" else {}
    network = make_network(configuration, **options)
    return _LastHiddenState(network), 1 + int(getattr(configuration, "num_register_tokens", 0))
