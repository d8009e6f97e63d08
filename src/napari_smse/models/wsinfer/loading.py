"""WSInfer models as networks: tried once when a person agreed to run them, then loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch

from napari_smse.errors import DamagedModelError, ModelError
from napari_smse.models.card import ModelCard
from napari_smse.models.generated_tiles import generated_tile
from napari_smse.models.self_test import expected_outputs
from napari_smse.models.wsinfer.agreement import (
    Agreement,
    WsinferFiles,
    agreement_for,
    card_of,
    keep_agreement,
    read_files,
)
from napari_smse.models.wsinfer.network import (
    WsinferNetwork,
    same_outputs,
    script_network,
    timm_network,
)

_COMPARED_TILES: Final = 8


def agree_to(path: str | Path, sha256: str) -> ModelCard:
    """Run a WSInfer model for the first time, as somebody agreed to, and remember that.

    Where timm builds the same network from the weights beside the archive, it is what runs from
    now on, and tiles have an embedding.

    Parameters
    ----------
    path
        The model's folder, its archive, or its configuration.
    sha256
        Of the files that the person was asked about: its card's ``weights_sha256``.

    Raises
    ------
    ModelError
        The files are others by now.
    DamagedModelError
        The folder is not whole, or the archive is not what its configuration says.
    OutputError
        It cannot be remembered.
    """
    files = read_files(path)
    if files.sha256 != sha256:
        raise ModelError(f"{files.archive.parent} changed since it was shown: look at it again.")
    network = script_network(files.archive, files.configuration)
    rebuilt = timm_network(files.archive.parent, files.configuration)
    tiles = _tiles(files.configuration.input_px)
    if rebuilt is not None and same_outputs(rebuilt, network, tiles):
        network = rebuilt
    agreement = Agreement(
        # Not where a link leads to: in the hub's cache, that says nothing.
        path=str(files.archive.absolute()),
        sha256=sha256,
        embedding_dim=_embedding_dim(network, files.configuration.input_px),
        expected=expected_outputs(network, card_of(files, None)),
    )
    keep_agreement(agreement)
    return card_of(files, agreement)


def load_wsinfer(path: str | Path) -> tuple[WsinferNetwork, ModelCard, Path]:
    """Return the network of a WSInfer model, its card, and its archive.

    Parameters
    ----------
    path
        The model's folder, its archive, or its configuration.

    Raises
    ------
    ModelError
        Nobody on this machine has agreed to run it.
    DamagedModelError
        The folder is not whole any more.
    """
    files = read_files(path)
    agreement = agreement_for(files.sha256)
    if agreement is None:
        raise ModelError(
            f"{files.archive} is a program (TorchScript), and nobody has agreed to run it here: "
            f"`napari-smse models add {files.archive.parent}` shows what it is, and asks."
        )
    return _network(files, agreement), card_of(files, agreement), files.archive


def _network(files: WsinferFiles, agreement: Agreement) -> WsinferNetwork:
    if not agreement.embedding_dim:
        return script_network(files.archive, files.configuration)
    network = timm_network(files.archive.parent, files.configuration)
    if network is None:
        raise DamagedModelError(
            f"timm no longer builds {files.archive.parent} as when it was added: use that version "
            "of timm, or add the model again without its model.safetensors."
        )
    return network


def _embedding_dim(network: WsinferNetwork, px: int) -> int:
    if not network.has_embedding:
        return 0
    with torch.inference_mode():
        return int(network(_tiles(px)[:1]).embedding.shape[1])


def _tiles(px: int) -> torch.Tensor:
    tiles = np.stack([generated_tile(number, px, px) for number in range(_COMPARED_TILES)])
    return torch.from_numpy(tiles).permute(0, 3, 1, 2)
