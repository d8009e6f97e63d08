"""Int8 networks of models, without waiting for one to be made."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_smse.models import Model
from napari_smse.scoring.device import Quantisation
from napari_smse.scoring.runtimes import quantised_network
from napari_smse.scoring.runtimes.quantised_network import network_sha256, write_quantised


def use_folder(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let int8 networks lie in a folder of a test's own."""
    monkeypatch.setattr(quantised_network, "quantised_folder", lambda: folder)


def write_stand_in(model: Model, largest_difference: float = 0.05) -> Quantisation:
    """Keep a model's float32 network as its int8 one."""
    from napari_smse.scoring.runtimes.openvino_runner import converted_model, model_files

    files = model_files(converted_model(model))
    files["network.bin"] += f"{largest_difference}".encode()  # another one, with the same outputs
    told = largest_difference, 0.01, 0.99, 0.9
    quantisation = Quantisation(network_sha256(files), 1, 64, 64, *told)
    write_quantised(model.card, files, quantisation)
    return quantisation
