"""Models passed on by the hub; nothing is uploaded here."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_smse.errors import ModelError
from napari_smse.models import load_model, read_card
from napari_smse.models.encoders.weights import load_encoder
from napari_smse.models.hub import files_to_push, push
from napari_smse.models.wsinfer.export import export_wsinfer
from support.encoders import TINY, empty_hub, tiny_weights
from support.shell import Shell, shell
from support.training import mini_model

__all__ = ["empty_hub", "shell", "tiny_weights"]  # fixtures


class Hub:
    """Takes what is uploaded."""

    made: list[tuple[str, bool]]
    files: dict[str, str]

    def __init__(self) -> None:
        self.made, self.files = [], {}

    def create_repo(self, name: str, *, private: bool, exist_ok: bool) -> None:
        assert exist_ok
        if "/" not in name:
            raise ValueError("no account\nand more")
        self.made.append((name, private))

    def upload_folder(self, *, repo_id: str, folder_path: Path) -> None:
        assert repo_id == self.made[-1][0]
        for path in folder_path.iterdir():
            self.files[path.name] = path.read_text(errors="replace")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    made = Hub()
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: made)
    return made


def test_the_bundled_model_goes_with_all_that_lies_beside_it(hub: Hub) -> None:
    card = read_card()
    assert push("bundled", "me/mine") == "huggingface.co/me/mine"
    assert hub.made == [("me/mine", True)]
    name = card.name
    assert set(hub.files) == {
        f"{name}.safetensors",
        f"{name}.json",
        f"{name}.exemplars.safetensors",
        f"{name}.looks.json",
        "README.md",
    }
    readme = hub.files["README.md"]
    assert readme.startswith("---\nlicense: other\npipeline_tag: image-classification\n")
    assert card.limits[0] in readme
    for source in card.training:
        assert source.licence in readme


def test_an_exported_folder_keeps_its_readme(hub: Hub, tmp_path: Path) -> None:
    model = mini_model(tmp_path)
    export_wsinfer(model.network, model.card, tmp_path / "out", 0.25)
    push(tmp_path / "out", "me/mine", private=False)
    assert hub.made == [("me/mine", False)]
    assert {"config.json", "torchscript_model.pt", "model.safetensors"} < set(hub.files)
    assert "- wsinfer" in hub.files["README.md"]


def test_an_encoder_is_not_passed_on(hub: Hub, tiny_weights: Path) -> None:
    load_encoder(TINY, tiny_weights)
    with pytest.raises(ModelError, match="tiny is an encoder"):
        files_to_push("tiny")
    assert not hub.made


def test_a_hub_that_refuses_is_one_line(hub: Hub) -> None:
    with pytest.raises(ModelError, match=r"cannot be written \(no account\): log in"):
        push("bundled", "mine")


def test_nothing_is_uploaded_before_it_was_agreed_to(
    shell: Shell, hub: Hub, tmp_path: Path
) -> None:
    path = mini_model(tmp_path).path
    assert load_model(path)
    answer = shell("models", "push", path, "me/mine")
    assert answer.status == 1
    assert "mini.safetensors, mini.json" in answer.out
    assert not hub.made
    assert shell("models", "push", path, "me/mine", "--yes", "--public").status == 0
    assert hub.made == [("me/mine", False)]
