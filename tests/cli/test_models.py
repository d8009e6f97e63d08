"""`napari-smse models`: what there is, and whether it can be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from napari_smse.models.encoders import catalogue
from napari_smse.models.encoders.check import last_check
from support.encoders import TINY, empty_hub, tiny_weights, weights
from support.shell import Shell, assert_one_error, shell
from support.wsinfer_models import ZOO, write_wsinfer

__all__ = ["empty_hub", "shell", "tiny_weights"]  # fixtures

pytestmark = pytest.mark.usefixtures("tiny_weights")


def test_all_are_listed_with_licence_and_access(shell: Shell) -> None:
    answer = shell("models", "list")
    assert answer.status == 0, answer.err
    lines = {line.split()[0]: line for line in answer.out.splitlines() if line.strip()}
    for name, words in (
        ("uni2-h", ("research", "ask")),
        ("kaiko-vits8", ("any", "no")),
    ):
        assert all(word in lines[name] for word in words)
    assert all(encoder.name in lines for encoder in catalogue.ENCODERS)
    names = {facts["name"] for facts in json.loads(shell("models", "list", "--json").out)}
    assert "tiny" in names


def test_one_is_shown_by_any_tools_name(shell: Shell) -> None:
    answer = shell("models", "show", "hoptimus1")
    assert answer.status == 0, answer.err
    for words in (
        "h-optimus-1",
        "CC BY-NC-ND 4.0",
        "commercial use",
        "nothing against real weights",
    ):
        assert words in answer.out
    assert json.loads(shell("models", "show", "UNI2", "--json").out)["features"] == 1536


def test_an_unknown_name_is_one_line(shell: Shell) -> None:
    assert_one_error(shell("models", "show", "virchov2"), "did you mean virchow2")


def test_an_encoder_is_tried_and_the_result_kept(shell: Shell, tiny_weights: Path) -> None:
    answer = shell("models", "check", "tiny", "--encoder-weights", tiny_weights, "--json")
    assert answer.status == 0, answer.err
    found = json.loads(answer.out)
    assert found["spread"] > 0
    assert found["tiles_per_second"] > 0
    kept = last_check(TINY)
    assert kept is not None
    assert list(kept.features) == found["features"]
    assert kept.sha256 == found["sha256"]


def test_weights_that_tell_no_tiles_apart_are_refused(shell: Shell, tmp_path: Path) -> None:
    dead = {name: torch.zeros_like(tensor) for name, tensor in weights(TINY).items()}
    save_file(dead, tmp_path / "dead.safetensors")
    answer = shell("models", "check", "tiny", "--encoder-weights", tmp_path / "dead.safetensors")
    assert_one_error(answer, "the same of all tiles")
    assert last_check(TINY) is None


def test_weights_that_are_not_here_are_told_how_to_get(shell: Shell) -> None:
    assert_one_error(shell("models", "check", "uni"), "models get uni")


def test_nothing_is_downloaded_before_the_licence_is_agreed_to(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(
        "napari_smse.models.encoders.weight_files.download_weights",
        lambda encoder: asked.append(encoder.name) or Path("there"),
    )
    answer = shell("models", "get", "uni")
    assert answer.status == 1
    assert "CC BY-NC-ND 4.0" in answer.out
    assert not asked
    assert shell("models", "get", "uni", "--yes").status == 0
    assert asked == ["uni"]


def test_a_wsinfer_model_is_added_after_it_was_shown(shell: Shell, tmp_path: Path) -> None:
    folder = write_wsinfer(tmp_path / "breast", ZOO["breast-tumor"])
    refused = shell("models", "add", folder)
    assert refused.status == 1
    assert all(
        word in refused.out for word in ("Other, Tumor", "0.3906 µm/px", "cc-by-4.0", "sha256")
    )
    added = shell("models", "add", folder, "--yes")
    assert added.status == 0, added.err
    assert "without embeddings" in added.out
    assert str(folder) in shell("models", "list").out


def test_what_is_no_wsinfer_model_is_named(shell: Shell, tmp_path: Path) -> None:
    assert_one_error(shell("models", "add", tmp_path), "no WSInfer model")


def test_a_model_of_the_zoo_cannot_be_fetched_offline(shell: Shell) -> None:
    answer = shell("models", "get", "prostate-tumor-resnet34.tcga-prad", "--yes")
    assert_one_error(answer, "cannot be downloaded")
