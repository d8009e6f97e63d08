"""WSInfer's models as networks, run only after somebody agreed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import nn
from torchvision import transforms

from napari_smse.errors import DamagedModelError, ModelError
from napari_smse.models import load_model, read_card
from napari_smse.models.generated_tiles import generated_tile
from napari_smse.models.wsinfer.agreement import agreements
from napari_smse.models.wsinfer.loading import agree_to
from support.wsinfer_models import ZOO, SmallClassifier, agree, write_wsinfer


@pytest.fixture(autouse=True)
def nothing_agreed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user"))


def expected_of(folder: Path, tiles: np.ndarray) -> np.ndarray:
    """Probabilities as WSInfer's own runtime makes them of fields."""
    configuration = json.loads((folder / "config.json").read_text())
    steps = {step["name"]: step.get("arguments", {}) for step in configuration["transform"]}
    chain = [transforms.ToTensor()]
    if "Normalize" in steps:
        chain.append(transforms.Normalize(**steps["Normalize"]))
    network = torch.jit.load(str(folder / "torchscript_model.pt"))
    images = torch.stack([transforms.Compose(chain)(Image.fromarray(tile)) for tile in tiles])
    with torch.inference_mode():
        logits = network(images)
    if logits.shape[1] > 1:
        return logits.softmax(dim=1).numpy()
    probability = logits.sigmoid().numpy()
    return np.hstack([1 - probability, probability])


def probabilities(folder: Path, tiles: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        output = load_model(folder).network(torch.from_numpy(tiles).permute(0, 3, 1, 2))
    return output.logits.softmax(dim=1).numpy()


@pytest.mark.parametrize("name", ZOO)
def test_probabilities_are_those_of_its_own_runtime(name: str, tmp_path: Path) -> None:
    folder = write_wsinfer(tmp_path / name, ZOO[name])
    card = agree(folder)
    tiles = np.stack([generated_tile(number, card.tile_px, card.tile_px) for number in range(4)])
    np.testing.assert_allclose(probabilities(folder, tiles), expected_of(folder, tiles), atol=1e-5)


def test_nothing_is_run_before_somebody_agreed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_wsinfer(tmp_path / "one", ZOO["breast-tumor"])
    with monkeypatch.context() as forbidden:
        forbidden.setattr(torch.jit, "load", None)
        read_card(folder)
        with pytest.raises(ModelError, match=r"nobody has agreed to run it.*models add"):
            load_model(folder)
    agree(folder)
    load_model(folder)
    # Another content is another program.
    write_wsinfer(folder, ZOO["breast-tumor"], SmallClassifier(2))
    with pytest.raises(ModelError, match="nobody has agreed"):
        load_model(folder)


def test_a_network_of_timm_has_an_embedding_and_its_archive_is_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = ZOO["breast-tumor"] | {"architecture": "resnet18"}
    network = timm.create_model("resnet18", num_classes=2)
    folder = write_wsinfer(tmp_path / "one", configuration, network)
    card = agree(folder)
    assert card.has_embedding
    assert card.embedding_dim == 512
    tiles = np.stack([generated_tile(number) for number in range(3)])
    expected = expected_of(folder, tiles)
    monkeypatch.setattr(torch.jit, "load", None)
    np.testing.assert_allclose(probabilities(folder, tiles), expected, atol=1e-4)
    with torch.inference_mode():
        images = torch.from_numpy(tiles).permute(0, 3, 1, 2)
        embedding = load_model(folder).network(images).embedding
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(3))
    assert embedding.shape == (3, 512)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "features"), [("resnet34", 512), ("inception_v4", 1536)])
def test_the_zoos_architectures_are_rebuilt(name: str, features: int, tmp_path: Path) -> None:
    configuration = ZOO["prostate-tumor"] | {"architecture": name}
    network = timm.create_model(name, num_classes=3)
    card = agree(write_wsinfer(tmp_path / name, configuration, network))
    assert card.embedding_dim == features


def test_weights_that_give_other_logits_than_the_archive_are_not_taken(tmp_path: Path) -> None:
    configuration = ZOO["breast-tumor"] | {"architecture": "resnet18"}
    folder = write_wsinfer(
        tmp_path / "one", configuration, timm.create_model("resnet18", num_classes=2)
    )
    other = write_wsinfer(
        tmp_path / "two", configuration, timm.create_model("resnet18", num_classes=2)
    )
    (other / "model.safetensors").replace(folder / "model.safetensors")
    card = agree(folder)
    assert not card.has_embedding
    tiles = generated_tile(0)[None]
    np.testing.assert_allclose(probabilities(folder, tiles), expected_of(folder, tiles), atol=1e-5)


def test_weights_changed_since_are_another_model(tmp_path: Path) -> None:
    configuration = ZOO["breast-tumor"] | {"architecture": "resnet18"}
    networks = [timm.create_model("resnet18", num_classes=2) for _ in range(2)]
    with torch.no_grad():
        networks[1].fc.bias += torch.tensor([3.0, -3.0])
    folder = write_wsinfer(tmp_path / "one", configuration, networks[0])
    agree(folder)
    other = write_wsinfer(tmp_path / "two", configuration, networks[1])
    (other / "model.safetensors").replace(folder / "model.safetensors")
    with pytest.raises(ModelError, match="nobody has agreed"):
        load_model(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="nobody has agreed"):
        load_model(folder)


class NoLogits(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean()


@pytest.mark.parametrize("network", [SmallClassifier(3), NoLogits()])
def test_an_archive_that_is_not_what_its_configuration_says_is_named(
    network: nn.Module, tmp_path: Path
) -> None:
    folder = write_wsinfer(tmp_path / "one", ZOO["breast-tumor"], None)
    traced = torch.jit.trace(network.eval(), torch.zeros(1, 3, 224, 224))
    torch.jit.save(traced, folder / "torchscript_model.pt")
    with pytest.raises(DamagedModelError, match="a logit for each of 2 classes"):
        agree(folder)


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04" + bytes(100)])
def test_what_is_no_archive_is_named(content: bytes, tmp_path: Path) -> None:
    folder = write_wsinfer(tmp_path / "one", ZOO["breast-tumor"])
    (folder / "torchscript_model.pt").write_bytes(content)
    with pytest.raises(DamagedModelError, match="no TorchScript archive"):
        agree(folder)


def test_what_changes_after_it_was_shown_is_not_run(tmp_path: Path) -> None:
    folder = write_wsinfer(tmp_path / "one", ZOO["breast-tumor"])
    shown = read_card(folder).weights_sha256
    write_wsinfer(folder, ZOO["breast-tumor"], SmallClassifier(2))
    with pytest.raises(ModelError, match="changed since it was shown"):
        agree_to(folder, shown)


def test_another_configuration_is_another_model(tmp_path: Path) -> None:
    folder = write_wsinfer(tmp_path / "one", ZOO["breast-tumor"])
    agree(folder)
    changed = ZOO["breast-tumor"] | {"class_names": ["Other", "Tumour"]}
    (folder / "config.json").write_text(json.dumps(changed))
    assert read_card(folder).classes == ("Other", "Tumour")
    with pytest.raises(ModelError, match="nobody has agreed"):
        load_model(folder)
    assert agree(folder).classes == ("Other", "Tumour")


class Asserts(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert images.shape[-1] == 256
        return images.mean(dim=(2, 3))[:, :2]


def test_a_program_that_refuses_its_tiles_is_named(tmp_path: Path) -> None:
    folder = write_wsinfer(tmp_path / "one", ZOO["breast-tumor"])
    torch.jit.save(torch.jit.script(Asserts()), str(folder / "torchscript_model.pt"))
    with pytest.raises(DamagedModelError, match="a logit for each of 2 classes"):
        agree(folder)


def test_in_the_hubs_cache_it_is_called_after_its_repository(tmp_path: Path) -> None:
    blobs = write_wsinfer(
        tmp_path / "models--kaczmarj--breast-tumor" / "blobs", ZOO["breast-tumor"]
    )
    folder = tmp_path / "models--kaczmarj--breast-tumor" / "snapshots" / "0a1b2c"
    folder.mkdir(parents=True)
    for file in blobs.iterdir():
        (folder / file.name).symlink_to(file)
    assert agree(folder).name == "breast-tumor"
    assert [one.path for one in agreements()] == [str(folder / "torchscript_model.pt")]


def test_what_is_frozen_in_an_archive_is_loaded_where_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_wsinfer(tmp_path / "one", ZOO["breast-tumor"])
    agree(folder)
    network, load, places = load_model(folder).network, torch.jit.load, []

    def noted(path: str, map_location: torch.device) -> object:
        places.append(str(map_location))
        return load(path, map_location="cpu")

    monkeypatch.setattr(torch.jit, "load", noted)
    network.to("cpu")
    network.to(torch.float32)
    assert places == ["cpu"]
