"""Trunks: the convolutional or transformer part that turns a tile into features."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, Final, cast

import torch
from torch import Tensor, nn

from napari_smse.errors import UnknownTrunkError

DEFAULT_TRUNK: Final = "efficientnet_lite0"
TORCHVISION_PREFIX: Final = "torchvision/"
STAGES_SUFFIX: Final = "+stages"
_STAGES: Final = 3
_IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
_IMAGENET_STD: Final = (0.229, 0.224, 0.225)


class Trunk(nn.Module):
    """A feature network without its classifier, pooled to one vector a tile.

    Parameters
    ----------
    body
        Module that maps ``(n, 3, h, w)`` to ``(n, features)``.
    features
        Length of the feature vector.
    mean, std
        Per-channel normalisation the body expects, for RGB in 0..1.
    """

    def __init__(
        self,
        body: nn.Module,
        features: int,
        mean: tuple[float, ...] = _IMAGENET_MEAN,
        std: tuple[float, ...] = _IMAGENET_STD,
    ) -> None:
        super().__init__()
        self.body = body
        self.features = features
        self.mean = mean
        self.std = std

    def forward(self, images: Tensor) -> Tensor:
        """Return pooled features ``(n, features)`` of normalised images."""
        return cast("Tensor", self.body(images))


class StagedTrunk(Trunk):
    """A timm trunk read at its last stages instead of its final layer.

    ImageNet's final layer knows objects; texture, which is what tissue is, lives in the
    stages before. Each of the last three gives the mean and the standard deviation of
    its channels over the tile.

    Parameters
    ----------
    body, mean, std
        As for `Trunk`.
    channels
        Number of channels of each of the last stages.
    """

    def __init__(
        self,
        body: nn.Module,
        channels: Sequence[int],
        mean: tuple[float, ...] = _IMAGENET_MEAN,
        std: tuple[float, ...] = _IMAGENET_STD,
    ) -> None:
        super().__init__(body, 2 * sum(channels), mean, std)
        self._stages = len(channels)

    def forward(self, images: Tensor) -> Tensor:
        """Return the stages' means and deviations ``(n, features)`` of normalised images."""
        body: Any = self.body
        stages = body.forward_intermediates(
            images, indices=self._stages, stop_early=True, intermediates_only=True
        )
        return torch.cat([_mean_and_deviation(stage) for stage in stages], dim=1)


def _mean_and_deviation(maps: Tensor) -> Tensor:
    values = maps.float().flatten(2)
    # The floor keeps the root's gradient finite where a channel is constant.
    deviation = values.var(dim=2, correction=0).clamp(min=1e-8).sqrt()
    return torch.cat([values.mean(dim=2), deviation], dim=1)


def build_trunk(name: str = DEFAULT_TRUNK) -> Trunk:
    """Build an untrained trunk by its timm or torchvision name.

    The default, timm's ``efficientnet_lite0``, pads statically and has neither
    squeeze-and-excite nor swish, which makes it the fastest good trunk on a CPU.
    timm's ``tf_`` variants pad dynamically, at about half the speed.

    Parameters
    ----------
    name
        A timm name (``"efficientnet_lite0"``), the same with ``+stages`` for a
        `StagedTrunk`, or ``"torchvision/resnet18"``.

    Raises
    ------
    UnknownTrunkError
        Neither library has the name; the message lists close ones.
    """
    if name.startswith(TORCHVISION_PREFIX):
        return _torchvision_trunk(name)
    return _timm_trunk(name)


def _timm_trunk(name: str) -> Trunk:
    import timm

    name, staged = base_name(name), name.endswith(STAGES_SUFFIX)
    if not timm.is_model(name):
        raise _unknown(name, timm.list_models())
    # Typed as Any: timm's attributes are not part of nn.Module.
    body: Any = timm.create_model(name, pretrained=False, num_classes=0)
    config = body.pretrained_cfg
    # Some trunks (MobileNetV3) have a layer more between pooling and classifier.
    features = int(getattr(body, "head_hidden_size", 0) or body.num_features)
    mean, std = tuple(config["mean"]), tuple(config["std"])
    if not staged:
        return Trunk(body, features, mean, std)
    channels = [int(stage["num_chs"]) for stage in body.feature_info[-_STAGES:]]
    return StagedTrunk(body, channels, mean, std)


def base_name(name: str) -> str:
    """Return a trunk's name without what is done with its stages."""
    return name.removesuffix(STAGES_SUFFIX)


def _torchvision_trunk(name: str) -> Trunk:
    from torchvision import models

    short = name.removeprefix(TORCHVISION_PREFIX)
    names = models.list_models(module=models)
    if short not in names:
        raise _unknown(name, [TORCHVISION_PREFIX + available for available in names])
    body = models.get_model(short, weights=None)
    return Trunk(body, _cut_classifier(body))


def _cut_classifier(body: nn.Module) -> int:
    """Replace the last linear layer by an identity and return its inputs."""
    path, last = [
        (name, module) for name, module in body.named_modules() if isinstance(module, nn.Linear)
    ][-1]
    parent, _, attribute = path.rpartition(".")
    setattr(body.get_submodule(parent), attribute, nn.Identity())
    return last.in_features


def _unknown(name: str, names: list[str]) -> UnknownTrunkError:
    close = difflib.get_close_matches(name, names, n=4, cutoff=0.5)
    hint = (
        f"did you mean {', '.join(close)}?"
        if close
        else "see timm.list_models(), or write torchvision/<name>."
    )
    return UnknownTrunkError(f"No trunk is called {name!r}: {hint}")


def normalisation(trunk: Trunk) -> tuple[Tensor, Tensor]:
    """Return the trunk's mean and standard deviation for RGB 0..255, each ``(1, 3, 1, 1)``."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) * 255 for values in (trunk.mean, trunk.std))
    return mean, std
