"""Our models in WSInfer's format."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_smse.errors import ModelError, OutputError
from napari_smse.models import Model, load_model, read_card
from napari_smse.models.generated_tiles import generated_tile
from napari_smse.models.wsinfer import export
from napari_smse.models.wsinfer.configuration import read_configuration
from napari_smse.models.wsinfer.export import export_wsinfer
from support.training import mini_model
from support.wsinfer_models import agree


def exported(model: Model, folder: Path) -> float:
    return export_wsinfer(model.network, model.card, folder, 0.25)


@pytest.mark.slow
def test_the_bundled_model_answers_the_same_there(tmp_path: Path) -> None:
    model = load_model("bundled")
    difference = export_wsinfer(model.network, model.card, tmp_path, 0.5)
    assert difference < 1e-4
    configuration = read_configuration(tmp_path / "config.json")
    assert configuration.class_names == model.card.classes
    assert (configuration.input_px, configuration.mpp) == (224, 0.5)
    # As QuPath feeds it: float32, normalised as its configuration says, in any number of tiles.
    tiles = np.stack([generated_tile(40 + number) for number in range(3)])
    images = torch.from_numpy(tiles).permute(0, 3, 1, 2)
    archive = torch.jit.load(str(tmp_path / "torchscript_model.pt"))
    mean, std = configuration.normalisation
    shape = (1, 3, 1, 1)
    normalised = (images / 255 - torch.tensor(mean).view(shape)) / torch.tensor(std).view(shape)
    with torch.inference_mode():
        exported = archive(normalised).softmax(dim=1)
        ours = model.network(images).logits.softmax(dim=1)
    torch.testing.assert_close(exported, ours, atol=1e-4, rtol=0)
    assert (
        sum(weight.numel() for weight in load_file(tmp_path / "model.safetensors").values()) > 1e6
    )


def test_what_was_exported_is_a_model_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user"))
    model = mini_model(tmp_path)
    export_wsinfer(model.network, model.card, tmp_path / "out", 0.25)
    card = agree(tmp_path / "out")
    assert card.classes == model.card.classes
    assert card.mpp_range == (0.25, 0.25)
    readme = (tmp_path / "out" / "README.md").read_text()
    assert readme.startswith("---\nlicense: other\n")
    assert model.card.label in readme


def test_a_model_that_lies_there_is_kept(tmp_path: Path) -> None:
    model = mini_model(tmp_path)
    export_wsinfer(model.network, model.card, tmp_path / "out", 0.25)
    with pytest.raises(OutputError, match="holds a model already"):
        export_wsinfer(model.network, model.card, tmp_path / "out", 0.5)
    export_wsinfer(model.network, model.card, tmp_path / "out", 0.5, overwrite=True)
    assert read_card(tmp_path / "out").mpp_range == (0.5, 0.5)


def test_class_names_are_such_as_qupath_takes(tmp_path: Path) -> None:
    model = mini_model(tmp_path)
    model.card = model.card.model_copy(update={"classes": ("benign: gland", "malignant")})
    export_wsinfer(model.network, model.card, tmp_path / "out", 0.25)
    names = json.loads((tmp_path / "out" / "config.json").read_text())["class_names"]
    assert names == ["benign - gland", "malignant"]
    card = model.card.model_copy(update={"classes": ("a:b", "a -b")})
    export_wsinfer(model.network, card, tmp_path / "alike", 0.25)
    assert len(set(read_card(tmp_path / "alike").classes)) == 2


def test_what_answers_otherwise_is_not_handed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported(mini_model(tmp_path), tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    monkeypatch.setattr(export, "TOLERANCE", 0.0)
    model = mini_model(tmp_path)
    with pytest.raises(ModelError, match="answers otherwise"):
        export_wsinfer(model.network, model.card, tmp_path / "out", 0.5, overwrite=True)
    after = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert after == before


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another folder"):
        exported(mini_model(tmp_path), tmp_path / "file")
