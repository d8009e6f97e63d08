"""Models in the format of WSInfer (Kaczmarzyk et al., npj Precision Oncology 2024).

A folder with `config.json` and a TorchScript archive, as WSInfer's model zoo and QuPath have them.
"""

from __future__ import annotations

from pathlib import Path

from napari_smse.models.wsinfer.configuration import is_wsinfer_model
from napari_smse.models.wsinfer.zoo import cached_folder

__all__ = ["is_wsinfer_model", "wsinfer_place"]


def wsinfer_place(model: str | Path) -> Path | None:
    """Return where a WSInfer model lies: the path given, or its folder in the hub's cache.

    None if what is asked for is no such model, or is not here.
    """
    if is_wsinfer_model(model):
        return Path(model)
    return cached_folder(str(model))
