"""A small encoder that is in the catalogue for a test, its weights in a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from napari_smse.models.encoders import Architecture, Encoder, catalogue, find_encoder
from napari_smse.models.encoders.construction import build_encoder

TINY = replace(
    find_encoder("kaiko-vits16"),
    name="tiny",
    aliases=("Tiny", "a-tiny-one"),
    repository="somebody/tiny",
    architecture=Architecture(
        "timm", "vit_tiny_patch16_224", {"num_classes": 0, "img_size": 64, "depth": 1}
    ),
    features=192,
    parameters=0.5,
    input_px=64,
    licence="Some non-commercial",
    commercial=False,
)


def weights(encoder: Encoder, seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights of its network, by torch's names."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return dict(build_encoder(encoder).body.network.state_dict())


@pytest.fixture
def empty_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, no way to the hub, and no file that was used before."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "hub"


@pytest.fixture
def tiny_weights(tmp_path: Path, empty_hub: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of the weights of `TINY`, which is in the catalogue."""
    monkeypatch.setattr(catalogue, "ENCODERS", (*catalogue.ENCODERS, TINY))
    path = tmp_path / "tiny.safetensors"
    save_file(weights(TINY), path)
    return path
