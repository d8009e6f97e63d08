"""Good files that take more than a line to make."""

from __future__ import annotations

import shutil
from pathlib import Path

from napari_smse.models.card import OOD_REFERENCE_SUFFIX
from napari_smse.models.model_files import model_paths
from napari_smse.similarity.ood.reference import ood_reference_path


def copied_reference(folder: Path) -> Path:
    """Copy the bundled model's card and reference; the weights are not read with them."""
    _, card = model_paths("bundled")
    shutil.copy(card, folder / "model.json")
    (folder / "model.safetensors").touch()
    path = folder / f"model{OOD_REFERENCE_SUFFIX}"
    shutil.copy(ood_reference_path("bundled"), path)
    return path
