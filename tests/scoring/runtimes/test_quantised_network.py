"""An int8 network is found again whole, or not at all; nothing takes its place unasked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from napari_smse.errors import DeviceError, ModelError, OutputError
from napari_smse.models.card import ModelCard
from napari_smse.scoring.device import ComputeDevice, Quantisation
from napari_smse.scoring.runtimes import quantised_network
from napari_smse.scoring.runtimes.quantised_network import (
    device_in_int8,
    find_quantisation,
    network_sha256,
    quantised_files,
    write_quantised,
)
from support.int8 import use_folder

CPU = ComputeDevice("cpu", "CPU, some", "bfloat16", 8)
CARD = ModelCard(
    name="some",
    version="1",
    classes=("benign", "malignant"),
    tile_px=64,
    mpp_range=(0.5, 0.5),
    trunk="test_efficientnet",
    embedding_dim=8,
    weights_sha256="ab" * 32,
)
FILES = {"network.xml": b"layers", "network.bin": bytes(range(256))}
FACTS = Quantisation(network_sha256(FILES), 2, 64, 60, 0.05, 0.008, 0.998, 0.98)


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(quantised_network, "is_installed", lambda _: True)
    use_folder(monkeypatch, tmp_path / "int8")
    return tmp_path / "int8"


def test_it_is_found_again() -> None:
    write_quantised(CARD, FILES, FACTS)
    assert find_quantisation(CARD.weights_sha256) == FACTS
    assert quantised_files(CARD, FACTS) == FILES
    device = device_in_int8(CPU, CARD)
    assert device == replace(CPU, precision="int8", runtime="openvino", quantisation=FACTS)


def test_without_one_it_is_told_how_to_get_it() -> None:
    with pytest.raises(ModelError, match="models quantise"):
        device_in_int8(CPU, CARD)


def test_a_damaged_one_is_none(folder: Path) -> None:
    write_quantised(CARD, FILES, FACTS)
    path = next(folder.iterdir())
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert find_quantisation(CARD.weights_sha256) is None
    with pytest.raises(DeviceError, match="another int8 network"):
        quantised_files(CARD, FACTS)


def test_another_one_does_not_take_its_place() -> None:
    other = {**FILES, "network.bin": b"other weights"}
    write_quantised(CARD, other, replace(FACTS, network_sha256=network_sha256(other)))
    with pytest.raises(DeviceError, match="copy"):
        quantised_files(CARD, FACTS)


def test_a_gpu_is_refused() -> None:
    with pytest.raises(DeviceError, match="int8 is for CPUs"):
        device_in_int8(replace(CPU, torch_name="cuda:0", label="GPU, some"), CARD)


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantised_network, "is_installed", lambda _: False)
    with pytest.raises(DeviceError, match=r"napari-smse\[int8\]"):
        device_in_int8(CPU, CARD)


def test_a_folder_that_cannot_be_made_is_named(folder: Path) -> None:
    folder.write_text("a file")
    with pytest.raises(OutputError, match="cannot write"):
        write_quantised(CARD, FILES, FACTS)


def test_its_deviation_is_told_in_one_line() -> None:
    for figure in ("0.008", "0.050", "60 tiles", "0.998", "0.980", "approximate"):
        assert figure in FACTS.note
    assert "\n" not in FACTS.note
