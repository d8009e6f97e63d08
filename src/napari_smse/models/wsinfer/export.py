"""Our models in WSInfer's format, for QuPath and for WSInfer itself."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from napari_smse.errors import ModelError, OutputError
from napari_smse.models.card import ModelCard
from napari_smse.models.generated_tiles import generated_tile
from napari_smse.models.model_readme import README_NAME, model_readme
from napari_smse.models.wsinfer.configuration import (
    CONFIGURATION_NAME,
    STATE_NAME,
    read_configuration,
)
from napari_smse.models.wsinfer.network import script_network

ARCHIVE_NAME: Final = "torchscript_model.pt"
TOLERANCE: Final = 1e-3
"""How far a probability of the exported model may lie from ours."""
_TILES: Final = 8
_HALF: Final = (0.5, 0.5, 0.5)


class ExportedClassifier(nn.Module):
    """Logits of images ``(n, 3, h, w)`` that are normalised by a mean and deviation of 0.5.

    Parameters
    ----------
    network
        Takes RGB 0..255.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return ``(n, classes)``, float32."""
        return cast("Tensor", self.network((images.float() * 0.5 + 0.5) * 255).logits)


def export_wsinfer(
    network: nn.Module, card: ModelCard, folder: Path, mpp: float, *, overwrite: bool = False
) -> float:
    """Write a model in WSInfer's format: configuration, TorchScript, weights, README.

    The archive is read again and compared with the model before it is handed over.

    Parameters
    ----------
    network, card
        Of any model that takes tiles.
    folder
        To write into; it is made.
    mpp
        The one scale that the exported model is for, um/px.
    overwrite
        A model that lies there may be replaced.

    Returns
    -------
    float
        Largest difference of a probability from the model's own, over generated tiles.

    Raises
    ------
    OutputError
        There is a model already, or it cannot be written.
    ModelError
        The exported model answers otherwise.
    """
    if (folder / CONFIGURATION_NAME).exists() and not overwrite:
        raise OutputError(f"{folder} holds a model already: give another folder, or overwrite it.")
    classifier = ExportedClassifier(network.float().cpu()).eval()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as made:
            part = Path(made)
            (part / CONFIGURATION_NAME).write_bytes(_configuration(card, mpp))
            readme = model_readme(card, f"{mpp:g} um/px", tags=("wsinfer",))
            (part / README_NAME).write_text(readme, encoding="utf-8")
            save_file(_state(classifier), part / STATE_NAME)
            _save_archive(classifier, card.tile_px, part / ARCHIVE_NAME)
            difference = _compared(network, card, part)
            # The configuration last: without it, the folder is no model.
            (folder / CONFIGURATION_NAME).unlink(missing_ok=True)
            for name in (README_NAME, STATE_NAME, ARCHIVE_NAME, CONFIGURATION_NAME):
                (part / name).replace(folder / name)
    except OSError as error:
        raise OutputError(
            f"cannot write {folder}: {error.strerror or error}; choose another folder"
        ) from error
    return difference


def _compared(network: nn.Module, card: ModelCard, folder: Path) -> float:
    difference = _difference(network, card, folder)
    if not difference < TOLERANCE:
        raise ModelError(
            f"The exported model answers otherwise than {card.label} (by {difference:.4f}): "
            "nothing was written; please report this."
        )
    return difference


def _configuration(card: ModelCard, mpp: float) -> bytes:
    values: dict[str, Any] = {
        "spec_version": "1.0",
        "architecture": card.trunk,
        "num_classes": len(card.classes),
        "class_names": _names(card.classes),
        "patch_size_pixels": card.tile_px,
        "spacing_um_px": mpp,
        "transform": [
            {"name": "Resize", "arguments": {"size": card.tile_px}},
            {"name": "ToTensor"},
            {"name": "Normalize", "arguments": {"mean": _HALF, "std": _HALF}},
        ],
    }
    return (json.dumps(values, indent=2) + "\n").encode()


def _names(classes: Sequence[str]) -> list[str]:
    """Return names such as QuPath takes: of those with a colon it makes derived classes."""
    found = [name.replace(":", " -") for name in classes]
    return found if len(set(found)) == len(found) else [f"{i} {n}" for i, n in enumerate(found)]


def _state(classifier: nn.Module) -> dict[str, Tensor]:
    return {name: value.contiguous() for name, value in classifier.state_dict().items()}


def _save_archive(classifier: nn.Module, px: int, path: Path) -> None:
    with warnings.catch_warnings(), torch.inference_mode():
        # Deprecated in torch, and what the format has; tracing warns of what is the same each time.
        warnings.simplefilter("ignore")
        traced: Any = torch.jit.trace(classifier, torch.zeros(2, 3, px, px), check_trace=False)  # type: ignore[no-untyped-call]
        # Not frozen: what is, stays on the device that it was frozen on.
        torch.jit.save(traced, str(path))


def _difference(network: nn.Module, card: ModelCard, folder: Path) -> float:
    px = card.tile_px
    tiles = np.stack([generated_tile(number, px, px) for number in range(_TILES)])
    images = torch.from_numpy(tiles).permute(0, 3, 1, 2)
    exported = script_network(
        folder / ARCHIVE_NAME, read_configuration(folder / CONFIGURATION_NAME)
    )
    with torch.inference_mode():
        ours, theirs = (one(images).logits.softmax(dim=1) for one in (network, exported))
    return float((ours - theirs).abs().max())
