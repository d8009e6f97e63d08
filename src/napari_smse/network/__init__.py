"""Trunk, embedding head, class head, losses, and models on disk.

Names are handed out when asked for: the card's part imports no torch, so that a
dock can show what a model is before torch is there.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from napari_smse.network.card import (
    ExpectedOutput,
    Figure,
    ModelCard,
    TrainingSource,
    bundled_models,
    read_card,
)

if TYPE_CHECKING:
    from napari_smse.network.checkpoint import Model, build_network, load_model, save_model
    from napari_smse.network.focal_loss import FocalLoss
    from napari_smse.network.miners import Mining, mine_triplets, random_pairs
    from napari_smse.network.output import NetworkOutput
    from napari_smse.network.pair_loss import PairLoss
    from napari_smse.network.reinforced_focal_loss import ReinforcedFocalLoss
    from napari_smse.network.smse_cnn import SmseCnn
    from napari_smse.network.smse_network import SmseNetwork
    from napari_smse.network.triplet_loss import TripletLoss
    from napari_smse.network.trunk import Trunk, build_trunk

__all__ = [
    "ExpectedOutput",
    "Figure",
    "FocalLoss",
    "Mining",
    "Model",
    "ModelCard",
    "NetworkOutput",
    "PairLoss",
    "ReinforcedFocalLoss",
    "SmseCnn",
    "SmseNetwork",
    "TrainingSource",
    "TripletLoss",
    "Trunk",
    "build_network",
    "build_trunk",
    "bundled_models",
    "load_model",
    "mine_triplets",
    "random_pairs",
    "read_card",
    "save_model",
]

_NEEDS_TORCH = {
    "checkpoint": ("Model", "build_network", "load_model", "save_model"),
    "focal_loss": ("FocalLoss",),
    "miners": ("Mining", "mine_triplets", "random_pairs"),
    "output": ("NetworkOutput",),
    "pair_loss": ("PairLoss",),
    "reinforced_focal_loss": ("ReinforcedFocalLoss",),
    "smse_cnn": ("SmseCnn",),
    "smse_network": ("SmseNetwork",),
    "trunk": ("Trunk", "build_trunk"),
    "triplet_loss": ("TripletLoss",),
}
_MODULE_OF = {name: module for module, names in _NEEDS_TORCH.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
