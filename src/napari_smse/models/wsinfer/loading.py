"""WSInfer models as networks: tried once when a person agreed to run them, then loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch

from napari_smse.errors import ModelError
from napari_smse.models.card import ModelCard
from napari_smse.models.generated_tiles import generated_tile
from napari_smse.models.self_test import expected_outputs
from napari_smse.models.wsinfer.agreement import (
    Agreement,
    agreement_for,
    archive_sha256,
    card_of,
    keep_agreement,
)
from napari_smse.models.wsinfer.configuration import read_configuration, wsinfer_paths
from napari_smse.models.wsinfer.network import (
    WsinferNetwork,
    same_outputs,
    script_network,
    timm_network,
)

_COMPARED_TILES: Final = 8


def agree_to(path: str | Path) -> ModelCard:
    """Run a WSInfer model for the first time, as somebody agreed to, and remember that.

    Where timm builds the same network from the weights beside the archive, it is what runs from
    now on, and tiles have an embedding.

    Parameters
    ----------
    path
        The model's folder, its archive, or its configuration.

    Raises
    ------
    DamagedModelError
        The folder is not whole, or the archive is not what its configuration says.
    OutputError
        It cannot be remembered.
    """
    archive, configuration_path = wsinfer_paths(path)
    configuration, sha256 = read_configuration(configuration_path), archive_sha256(archive)
    network = script_network(archive, configuration)
    rebuilt = timm_network(archive.parent, configuration)
    if rebuilt is not None and same_outputs(rebuilt, network, _tiles(configuration.input_px)):
        network = rebuilt
    card = card_of(archive, configuration, sha256, None)
    agreement = Agreement(
        path=str(archive.resolve()),
        sha256=sha256,
        embedding_dim=_embedding_dim(network, configuration.input_px),
        expected=expected_outputs(network, card),
    )
    keep_agreement(agreement)
    return card_of(archive, configuration, sha256, agreement)


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
    archive, configuration_path = wsinfer_paths(path)
    configuration, sha256 = read_configuration(configuration_path), archive_sha256(archive)
    agreement = agreement_for(sha256)
    if agreement is None:
        raise ModelError(
            f"{archive} is a program (TorchScript), and nobody has agreed to run it here: `napari-"
            f"smse models add {archive.parent}` shows what it is, and asks."
        )
    network = timm_network(archive.parent, configuration) if agreement.embedding_dim else None
    network = network or script_network(archive, configuration)
    return network, card_of(archive, configuration, sha256, agreement), archive


def _embedding_dim(network: WsinferNetwork, px: int) -> int:
    if not network.has_embedding:
        return 0
    with torch.inference_mode():
        return int(network(_tiles(px)[:1]).embedding.shape[1])


def _tiles(px: int) -> torch.Tensor:
    tiles = np.stack([generated_tile(number, px, px) for number in range(_COMPARED_TILES)])
    return torch.from_numpy(tiles).permute(0, 3, 1, 2)
