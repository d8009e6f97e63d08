"""The network of a WSInfer model: timm's, with an embedding, or its TorchScript, without."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any, Final, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from napari_smse.errors import DamagedModelError
from napari_smse.models.smse_network import NetworkOutput
from napari_smse.models.wsinfer.configuration import STATE_NAME, WsinferConfiguration

SAME_LOGITS: Final = 1e-3
_log = logging.getLogger(__name__)


class WsinferNetwork(nn.Module):
    """Logits of tiles; and as their embedding the features before the classifier, of length 1.

    Parameters
    ----------
    classifier
        Gives logits of normalised images ``(n, 3, h, w)``: timm's network, or TorchScript.
    configuration
        What the folder says.
    archive
        That the TorchScript is of.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        classifier: nn.Module,
        configuration: WsinferConfiguration,
        archive: Path | None = None,
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self._archive = archive
        self.has_embedding = not isinstance(classifier, torch.jit.ScriptModule)
        self._one_class = configuration.num_classes == 1
        mean, std = configuration.normalisation or ((0.0,) * 3, (1.0,) * 3)
        self.register_buffer("mean", 255 * torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> NetworkOutput:
        """Return `NetworkOutput` of images ``(n, 3, h, w)``, uint8 or float RGB 0..255.

        Without an embedding, all tiles have the same, ``(n, 1)``.
        """
        if self.has_embedding:
            features = self.features(images)
            logits = cast("Any", self.classifier).get_classifier()(features)
            embedding = functional.normalize(features, dim=1)
        else:
            logits = self.classifier((images.to(self.mean.dtype) - self.mean) / self.std)
            embedding = torch.ones(len(images), 1, device=images.device)
        return NetworkOutput(embedding, self._of_classes(logits.float()))

    def to(self, *args: Any, **options: Any) -> WsinferNetwork:
        """Move it; what is frozen in an archive moves only when that is loaded anew."""
        device = torch._C._nn._parse_to(*args, **options)[0]
        if self._archive is not None and device is not None:
            self.classifier = _load(self._archive, device)
        return super().to(*args, **options)

    def features(self, images: Tensor) -> Tensor:
        """Return what the classifier reads ``(n, features)`` of RGB 0..255 images."""
        network: Any = self.classifier
        normalised = (images.to(self.mean.dtype) - self.mean) / self.std
        found = network.forward_head(network.forward_features(normalised), pre_logits=True)
        # Convolutions may compute in bfloat16; what comes after them does not.
        return cast("Tensor", found.float())

    def _of_classes(self, logits: Tensor) -> Tensor:
        """Return logits whose softmax has the class: of one logit, that is the sigmoid."""
        if not self._one_class:
            return logits
        return torch.cat([torch.zeros_like(logits), logits], dim=1)


def script_network(archive: Path, configuration: WsinferConfiguration) -> WsinferNetwork:
    """Return the network that a TorchScript archive holds.

    It is a program: only what somebody has agreed to is to be loaded.

    Raises
    ------
    DamagedModelError
        It is no such archive, or gives other than a logit a class.
    """
    try:
        classifier = _load(archive, torch.device("cpu"))
    except (RuntimeError, ValueError, OSError, torch.jit.Error) as error:
        raise DamagedModelError(
            f"{archive} is no TorchScript archive: get the model again."
        ) from error
    network = WsinferNetwork(classifier, configuration, archive).eval()
    _try(network, archive, configuration)
    return network


def _load(archive: Path, device: torch.device) -> nn.Module:
    with warnings.catch_warnings():
        # Deprecated in torch, and what the format has.
        for category in (DeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", category)
        loaded = torch.jit.load(str(archive), map_location=device)  # type: ignore[no-untyped-call]
    return cast("nn.Module", loaded.eval())


def timm_network(folder: Path, configuration: WsinferConfiguration) -> WsinferNetwork | None:
    """Return the network as timm builds it, with the weights beside the archive.

    None if timm does not know the architecture, or the weights are not there or not of it.
    """
    import timm

    weights = folder / STATE_NAME
    if not weights.is_file() or not timm.is_model(configuration.architecture):
        return None
    try:
        classifier = timm.create_model(
            configuration.architecture, pretrained=False, num_classes=configuration.num_classes
        )
        classifier.load_state_dict(load_file(weights), strict=True)
    except (RuntimeError, SafetensorError, OSError, ValueError) as error:
        _log.info("%s is not timm's %s: %s", weights, configuration.architecture, error)
        return None
    if not all(hasattr(classifier, name) for name in ("forward_head", "get_classifier")):
        return None
    network = WsinferNetwork(classifier, configuration).eval()
    return network.requires_grad_(False)


def same_outputs(one: WsinferNetwork, other: WsinferNetwork, tiles: Tensor) -> bool:
    """Tell whether two networks give the same logits of tiles, to `SAME_LOGITS`."""
    with torch.inference_mode():
        difference = one(tiles).logits - other(tiles).logits
    return bool(difference.abs().max() < SAME_LOGITS)


def _try(network: WsinferNetwork, archive: Path, configuration: WsinferConfiguration) -> None:
    px = configuration.input_px
    try:
        with torch.inference_mode():
            logits = network(torch.zeros(1, 3, px, px, dtype=torch.uint8)).logits
        fits = logits.shape == (1, len(configuration.classes))
    except (RuntimeError, AttributeError, TypeError, IndexError, torch.jit.Error):
        fits = False
    if not fits:
        raise DamagedModelError(
            f"{archive} does not give a logit for each of {configuration.num_classes} classes of "
            f"tiles of {px} px, as its configuration says: get both again."
        )
