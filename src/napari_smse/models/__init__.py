"""Trunk, embedding head, class head, and models on disk.

Names are handed out when asked for: the card's part imports no torch, so that a
dock can show what a model is before torch is there.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from napari_smse.models.card import ExpectedOutput, Metric, ModelCard, TrainingSource
from napari_smse.models.model_files import bundled_models, read_card

if TYPE_CHECKING:
    from napari_smse.models.checkpoint import Model, build_network, load_model, save_model
    from napari_smse.models.smse_cnn import SmseCnn
    from napari_smse.models.smse_network import NetworkOutput, SmseNetwork
    from napari_smse.models.trunk import Trunk, build_trunk

__all__ = [
    "ExpectedOutput",
    "Metric",
    "Model",
    "ModelCard",
    "NetworkOutput",
    "SmseCnn",
    "SmseNetwork",
    "TrainingSource",
    "Trunk",
    "build_network",
    "build_trunk",
    "bundled_models",
    "load_model",
    "read_card",
    "save_model",
]

_NEEDS_TORCH = {
    "checkpoint": ("Model", "build_network", "load_model", "save_model"),
    "smse_cnn": ("SmseCnn",),
    "smse_network": ("NetworkOutput", "SmseNetwork"),
    "trunk": ("Trunk", "build_trunk"),
}
_MODULE_OF = {name: module for module, names in _NEEDS_TORCH.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
