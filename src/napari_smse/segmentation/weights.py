"""A file of weights as a network that tells what each pixel shows; nothing in a file is run."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from napari_smse.errors import MaskError, is_out_of_memory, memory_error
from napari_smse.models.state_dict import HoldsCodeError, StateDictError, read_state_dict
from napari_smse.segmentation.networks import MaskNetwork, recognise

_ENCODER: Final = "timm-efficientnet-b0"
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, which all of the networks begin from."""
_WRAPPERS: Final = ("state_dict", "model", "model_state_dict")
_PREFIXES: Final = ("model.", "module.", "network.")
_AUXILIARY: Final = "aux_classifier."
"""Of an output that training alone needs."""


@dataclass(frozen=True)
class Segmenter:
    """A network, ready to run.

    Attributes
    ----------
    network
        Which it is.
    mpp
        um/px of the images it takes.
    module
        Its layers; logits ``(n, classes, h, w)`` of normalised images.
    device
        By its name in torch.
    """

    network: MaskNetwork
    mpp: float
    module: nn.Module
    device: str = "cpu"

    @torch.inference_mode()
    def ground(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what each pixel shows.

        Parameters
        ----------
        images
            ``(n, h, w, 3)`` RGB; sides are multiples of 32.

        Returns
        -------
        ``(n, h, w)`` of `Ground`

        Raises
        ------
        MemoryLimitError
            The device has too little memory.
        """
        if self.network.jpeg_quality is not None:
            images = np.stack([_compressed(image, self.network.jpeg_quality) for image in images])
        batch = torch.from_numpy(np.ascontiguousarray(images)).to(self.device)
        batch = batch.permute(0, 3, 1, 2).float() / 255
        mean, std = (
            torch.tensor(values, device=batch.device)[:, None, None] for values in (_MEAN, _STD)
        )
        try:
            output = self.module((batch - mean) / std)
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                raise memory_error(self.network.name) from error
            raise
        logits = output["out"] if isinstance(output, Mapping) else output
        classes = np.array(self.network.classes, dtype=np.uint8)
        return np.asarray(classes[logits.argmax(dim=1).cpu().numpy()])


def load_segmenter(path: Path, mpp: float | None = None, device: str = "cpu") -> Segmenter:
    """Build the network that a file holds the weights of.

    Parameters
    ----------
    path
        ``.safetensors``, or ``.pth``, ``.pt`` or ``.ckpt`` of torch with numbers alone.
    mpp
        um/px to run it at; None for its own.
    device
        By its name in torch.

    Raises
    ------
    MaskError
        The file cannot be read without running what is in it, holds another network, or what
        builds the network is not installed.
    """
    tensors = {
        name: tensor
        for name, tensor in _without_prefix(read_weights(path)).items()
        if not name.startswith(_AUXILIARY)
    }
    network = recognise({name: tuple(tensor.shape) for name, tensor in tensors.items()}, path)
    scale = network.mpp(mpp, path)
    module = build(network)
    try:
        module.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise MaskError(
            f"{path.name} is not whole, or of another {network.architecture} than {network.name} "
            f"({reason}): download it again."
        ) from error
    return Segmenter(network, scale, module.eval().requires_grad_(False).to(device), device)


def build(network: MaskNetwork) -> nn.Module:
    """Build a network without weights.

    Raises
    ------
    MaskError
        What builds it is not installed.
    """
    if network.architecture == "deeplabv3_resnet50":
        from torchvision.models.segmentation import deeplabv3_resnet50

        module: nn.Module = deeplabv3_resnet50(
            weights=None, weights_backbone=None, num_classes=len(network.classes)
        )
        return module
    try:
        import segmentation_models_pytorch as smp
    except ImportError as error:
        raise MaskError(
            f"{network.name} needs segmentation_models_pytorch: pip install napari-smse[masks]."
        ) from error
    built: nn.Module = getattr(smp, network.architecture)(
        encoder_name=_ENCODER, encoder_weights=None, classes=len(network.classes)
    )
    return built


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file; nothing in it is run.

    Raises
    ------
    MaskError
        It cannot be read, or only by running what is in it.
    """
    if _is_program(path):
        raise MaskError(
            f"{path.name} is a program (TorchScript), which is not run: give the state dict of the "
            "network, or .safetensors."
        )
    try:
        return read_state_dict(path, _WRAPPERS)
    except HoldsCodeError as error:
        raise MaskError(
            f"{path.name} holds more than numbers (GrandQC_MPP1, MPP15 and MPP2 are published as "
            "whole pickled networks), and reading it could run code: where it comes from a source "
            "you trust, open it once in the program it was made for, such as "
            "segmentation_models_pytorch 0.3, and write torch.save(network.state_dict(), "
            "'GrandQC_MPP15_state_dict.pth'); of a Lightning checkpoint, "
            "torch.save(checkpoint['state_dict'], ...)."
        ) from error
    except StateDictError as error:
        raise MaskError(
            f"{path.name} holds no weights that can be read ({error}): give .safetensors, or a "
            "state dict that torch wrote; TorchScript is a program, and is not run."
        ) from error


def _is_program(path: Path) -> bool:
    """Whether a file is an archive of TorchScript, which torch would not read as numbers."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def _without_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors by the names of their network, before which wrappers put words."""
    for prefix in _PREFIXES:
        if tensors and all(name.startswith(prefix) for name in tensors):
            return _without_prefix(
                {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
            )
    return tensors


def _compressed(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Return what is left of an image after JPEG compression."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream, formats=("JPEG",)).convert("RGB"))
