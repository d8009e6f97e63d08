"""All models there are."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import save_file

from napari_smse.finetuning.history import FineTuneHistory
from napari_smse.models import bundled_models
from napari_smse.models.encoders import ENCODERS, find_encoder
from napari_smse.models.encoders.known_files import file_sha256, remember_file
from napari_smse.models.encoders.weights import load_encoder
from napari_smse.models.wsinfer.zoo import ZOO as NAMES
from napari_smse.workflows.models.model_list import (
    ListedModel,
    ModelKind,
    ModelState,
    listed_models,
)
from support.encoders import TINY, empty_hub, tiny_weights
from support.training import mini_model
from support.wsinfer_models import ZOO, agree, write_wsinfer

__all__ = ["empty_hub", "tiny_weights"]  # fixtures


@pytest.fixture
def history(tmp_path: Path) -> FineTuneHistory:
    (tmp_path / "history").mkdir()
    mini_model(tmp_path / "history")
    return FineTuneHistory(tmp_path / "history")


def one(found: list[ListedModel], name: str) -> ListedModel:
    (model,) = (model for model in found if model.name == name)
    return model


@pytest.mark.usefixtures("empty_hub")
def test_all_kinds_are_listed_and_what_can_be_used_comes_first(
    tmp_path: Path, history: FineTuneHistory
) -> None:
    agree(write_wsinfer(tmp_path / "breast", ZOO["breast-tumor"]))
    found = listed_models(history)
    ready = [model for model in found if model.state is ModelState.READY]
    assert found[: len(ready)] == ready
    kinds = [model.kind for model in ready]
    assert kinds == [
        *[ModelKind.BUNDLED] * len(bundled_models()),
        ModelKind.TUNED,
        ModelKind.WSINFER,
    ]
    assert ready[0].model == "bundled"
    assert ready[0].organs.startswith("breast")
    assert ready[-1].model == str(tmp_path / "breast")
    assert ready[-1].classes == ("Other", "Tumor")
    assert len(found) - len(ready) == len(NAMES) + len(ENCODERS)
    gated = one(found, "uni2-h")
    assert (gated.state, gated.commercial) == (ModelState.GATED, False)
    assert "models get uni2-h" in gated.how_to_get
    assert one(found, "h-optimus-0").state is ModelState.NOT_HERE


def test_an_encoder_that_is_here_is_ready(tiny_weights: Path, history: FineTuneHistory) -> None:
    assert one(listed_models(history), "tiny").state is ModelState.NOT_HERE
    load_encoder(TINY, tiny_weights)
    found = one(listed_models(history), "tiny")
    assert (found.state, found.model) == (ModelState.READY, "tiny")
    assert found.classes == ()
    assert found.size_mb == pytest.approx(tiny_weights.stat().st_size / 1e6)


@pytest.mark.usefixtures("empty_hub")
def test_one_of_timm_that_was_used_is_listed(tmp_path: Path, history: FineTuneHistory) -> None:
    encoder = find_encoder("timm/resnet18.a1_in1k")
    path = tmp_path / "r.safetensors"
    save_file({}, path)
    remember_file(encoder, path, file_sha256(path))
    assert one(listed_models(history), "timm/resnet18.a1_in1k").state is ModelState.READY


@pytest.mark.usefixtures("empty_hub")
def test_a_wsinfer_model_that_changed_since_it_was_agreed_to_is_left_out(
    tmp_path: Path, history: FineTuneHistory
) -> None:
    folder = write_wsinfer(tmp_path / "breast", ZOO["breast-tumor"])
    agree(folder)
    (folder / "config.json").write_text("{}")
    assert str(folder) not in {model.model for model in listed_models(history)}


@pytest.mark.parametrize(
    ("words", "found"),
    [("", True), ("UNI2", True), ("mahmoodlab", True), ("uni2 nc-nd", True), ("uni2 MIT", False)],
)
@pytest.mark.usefixtures("empty_hub")
def test_words_may_be_of_any_spelling(words: str, found: bool, history: FineTuneHistory) -> None:
    assert one(listed_models(history), "uni2-h").matches(words) == found
