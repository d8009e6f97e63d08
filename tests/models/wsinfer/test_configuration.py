"""Configurations of WSInfer's models, as cards."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from napari_smse.errors import DamagedModelError
from napari_smse.models import read_card
from napari_smse.models.wsinfer.configuration import is_wsinfer_model, read_configuration
from support.wsinfer_models import ZOO, write_wsinfer

SCALES = {
    "breast-tumor": 0.390625,
    "lung-tumor": 0.78125,
    "prostate-tumor": 0.390625,
    "pancreas-tumor": 2.34375,
    "lymphocytes": 50 / 299,
    "lymph-nodes": 1.0,
    "colorectal-kather": 0.5,
    "colorectal-penn": 0.390625,
}


@pytest.mark.parametrize("name", ZOO)
def test_the_card_is_what_the_folder_says(name: str, tmp_path: Path) -> None:
    folder = write_wsinfer(tmp_path / name, ZOO[name])
    card = read_card(folder)
    assert card.name == name
    assert card.mpp_range == (pytest.approx(SCALES[name]),) * 2
    assert card.tile_px == {"lymphocytes": 299, "lymph-nodes": 96}.get(name, 224)
    named = tuple(ZOO[name]["class_names"])
    assert card.classes == (("not Tumor", "Tumor") if len(named) == 1 else named)
    assert "cc-by-4.0" in card.intended_use
    assert not card.has_embedding
    assert not card.figures


def test_a_model_is_named_by_any_of_its_files(tmp_path: Path) -> None:
    folder = write_wsinfer(tmp_path / "one", ZOO["breast-tumor"])
    cards = [read_card(folder / name) for name in ("", "config.json", "torchscript_model.pt")]
    assert cards[0] == cards[1] == cards[2]
    assert is_wsinfer_model(str(folder))
    assert not is_wsinfer_model(tmp_path)
    assert not is_wsinfer_model("bundled")


def test_older_and_extended_configurations_are_read(tmp_path: Path) -> None:
    older = {
        k: v for k, v in ZOO["lung-tumor"].items() if k not in ("spec_version", "architecture")
    }
    assert len(read_card(write_wsinfer(tmp_path / "older", older)).classes) == 6
    extended = ZOO["lung-tumor"] | {"halo_size_pixels": 3, "stain_normalization": None}
    assert len(read_card(write_wsinfer(tmp_path / "extended", extended)).classes) == 6


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"spec_version": "2.0"}, "version 2.0"),
        ({"class_names": ["A"]}, "class_names are not num_classes"),
        ({"class_names": ["A", "A"]}, "not unique"),
        ({"class_names": ["A", ""]}, "empty"),
        ({"class_names": ["A", "B\x1b[2J"]}, "cannot be printed"),
        ({"num_classes": 0}, "num_classes"),
        ({"patch_size_pixels": 0}, "patch_size_pixels"),
        ({"spacing_um_px": 0}, "spacing_um_px"),
        ({"spacing_um_px": "near"}, "spacing_um_px"),
        ({"transform": [{"name": "Rotate"}]}, "transform"),
        ({"transform": [{"name": "Resize", "arguments": {"size": 0}}]}, "size"),
        ({"object_based": True}, "judges objects"),
    ],
)
def test_impossible_configurations_are_named(
    change: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(copy.deepcopy(ZOO["breast-tumor"]) | change))
    with pytest.raises(DamagedModelError) as wrong:
        read_configuration(path)
    assert reason in str(wrong.value)
    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff\xfe", b'{"num_classes": 2}'])
def test_what_is_no_configuration_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(DamagedModelError, match="no configuration of a WSInfer model"):
        read_configuration(path)


def test_a_folder_without_its_archive_is_named(tmp_path: Path) -> None:
    folder = write_wsinfer(tmp_path / "one", ZOO["breast-tumor"])
    archive = folder / "torchscript_model.pt"
    archive.rename(folder / "kept")
    with pytest.raises(DamagedModelError, match="no TorchScript archive"):
        read_card(folder)
    for name in ("a.pt", "b.pt"):
        (folder / name).write_bytes(b"")
    with pytest.raises(DamagedModelError, match="more than one"):
        read_card(folder)
