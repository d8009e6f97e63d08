"""Trunks: the convolutional or transformer part that turns a tile into features."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_smse.errors import UnknownTrunkError

DEFAULT_TRUNK: Final = "efficientnet_lite0"
TORCHVISION_PREFIX: Final = "torchvision/"
STAGES_SUFFIX: Final = "+stages"
TISSUE_SUFFIX: Final = "+tissue"
_STAGES: Final = 3
_GLASS_DENSITY: Final = (0.06, 0.14)
"""Optical densities (log10) of the most absorbed channel: glass absorbs less, tissue more."""
_LEAST_WEIGHT: Final = 0.01
"""Of glass, so that a tile of nothing else has features too."""
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

    @property
    def name(self) -> str:
        """Of a trunk that is not built by its name alone."""
        return ""

    @property
    def is_stored_apart(self) -> bool:
        """Whether a model's file holds the heads alone, and not this trunk's weights."""
        return False

    weights_sha256: str = ""
    """Of the file of its own, for a trunk that is stored apart."""

    @property
    def pools_tissue(self) -> bool:
        """Whether `forward` wants to know how much tissue each pixel shows."""
        return False

    def forward(self, images: Tensor, tissue: Tensor | None = None) -> Tensor:
        """Return pooled features ``(n, features)`` of normalised images ``(n, 3, h, w)``.

        Parameters
        ----------
        images
            Normalised images.
        tissue
            `tissue_weights` of the images, for a trunk that `pools_tissue`; others do not look.
        """
        return cast("Tensor", self.body(images))


class StagedTrunk(Trunk):
    """A timm trunk read at its last stages instead of its final layer.

    ImageNet's final layer knows objects; texture, which is what tissue is, lives in the
    stages before. Each of the last three gives the mean and the standard deviation of
    its channels over the tile, or over the tissue on it: over the whole tile they say
    first of all how much glass there is.

    Parameters
    ----------
    body, mean, std
        As for `Trunk`.
    channels
        Number of channels of each of the last stages.
    pools_tissue
        Weigh each place by the tissue there.
    """

    def __init__(
        self,
        body: nn.Module,
        channels: Sequence[int],
        mean: tuple[float, ...] = _IMAGENET_MEAN,
        std: tuple[float, ...] = _IMAGENET_STD,
        *,
        pools_tissue: bool = False,
    ) -> None:
        super().__init__(body, 2 * sum(channels), mean, std)
        self._stages = len(channels)
        self._pools_tissue = pools_tissue

    @property
    def pools_tissue(self) -> bool:
        """Whether means and deviations are over the tissue alone."""
        return self._pools_tissue

    def forward(self, images: Tensor, tissue: Tensor | None = None) -> Tensor:
        """Return the stages' means and deviations ``(n, features)`` of normalised images."""
        body: Any = self.body
        stages = body.forward_intermediates(
            images, indices=self._stages, stop_early=True, intermediates_only=True
        )
        return self.pool(stages, tissue if self.pools_tissue else None)

    @staticmethod
    def pool(stages: Sequence[Tensor], tissue: Tensor | None = None) -> Tensor:
        """Return the features of stages ``(n, c, h, w)``, over the tissue alone if it is given."""
        if tissue is None:
            return torch.cat([_mean_and_deviation(stage) for stage in stages], dim=1)
        return torch.cat([_weighted_mean_and_deviation(stage, tissue) for stage in stages], dim=1)


def tissue_weights(images: Tensor) -> Tensor:
    """Return how much tissue each pixel shows, ``(n, 1, h, w)`` in 0.01..1, float32.

    What H&E absorbs most, for the most part green, tells pale tissue from glass; the weight rises
    with its optical density, so that a camera a little darker or paler changes it little.

    Parameters
    ----------
    images
        RGB 0..255, ``(n, 3, h, w)``, uint8 or float.
    """
    darkest = images.float().amin(dim=1, keepdim=True)
    density = -torch.log10((darkest + 1) / 256)
    low, high = _GLASS_DENSITY
    # Both of one type: an exporter cannot tell what a float and an int clamp to.
    return ((density - low) / (high - low)).clamp(_LEAST_WEIGHT, 1.0)


def _mean_and_deviation(maps: Tensor) -> Tensor:
    values = maps.float().flatten(2)
    # The floor keeps the root's gradient finite where a channel is constant.
    deviation = values.var(dim=2, correction=0).clamp(min=1e-8).sqrt()
    return torch.cat([values.mean(dim=2), deviation], dim=1)


def _weighted_mean_and_deviation(maps: Tensor, tissue: Tensor) -> Tensor:
    height, width = maps.shape[-2:]
    weights = functional.adaptive_avg_pool2d(tissue, (height, width)).flatten(2)
    weights = weights / weights.sum(dim=2, keepdim=True)
    values = maps.float().flatten(2)
    mean = (values * weights).sum(dim=2)
    variance = ((values - mean.unsqueeze(2)) ** 2 * weights).sum(dim=2)
    return torch.cat([mean, variance.clamp(min=1e-8).sqrt()], dim=1)


def build_trunk(name: str = DEFAULT_TRUNK) -> Trunk:
    """Build an untrained trunk by its timm or torchvision name.

    The default, timm's ``efficientnet_lite0``, pads statically and has neither
    squeeze-and-excite nor swish, which makes it the fastest good trunk on a CPU.
    timm's ``tf_`` variants pad dynamically, at about half the speed.

    Parameters
    ----------
    name
        A timm name (``"efficientnet_lite0"``), the same with ``+stages`` for a
        `StagedTrunk`, with ``+tissue`` for one that reads the tissue alone, or
        ``"torchvision/resnet18"``.

    Raises
    ------
    UnknownTrunkError
        Neither library has the name; the message lists close ones.
    """
    if name.startswith(TORCHVISION_PREFIX):
        return _torchvision_trunk(name)
    return _timm_trunk(name)


def _timm_trunk(full_name: str) -> Trunk:
    import timm

    name, pools_tissue = base_name(full_name), full_name.endswith(TISSUE_SUFFIX)
    if not timm.is_model(name):
        raise _unknown(name, timm.list_models())
    # Typed as Any: timm's attributes are not part of nn.Module.
    body: Any = timm.create_model(name, pretrained=False, num_classes=0)
    config = body.pretrained_cfg
    # Some trunks (MobileNetV3) have a layer more between pooling and classifier.
    features = int(getattr(body, "head_hidden_size", 0) or body.num_features)
    mean, std = tuple(config["mean"]), tuple(config["std"])
    if name == full_name:
        return Trunk(body, features, mean, std)
    channels = [int(stage["num_chs"]) for stage in body.feature_info[-_STAGES:]]
    return StagedTrunk(body, channels, mean, std, pools_tissue=pools_tissue)


def base_name(name: str) -> str:
    """Return a trunk's name without what is done with its stages."""
    return name.removesuffix(STAGES_SUFFIX).removesuffix(TISSUE_SUFFIX)


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
