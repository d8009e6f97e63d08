"""What is exported to what, and what a shell says of the wrong pair."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from napari_smse.results.exchange import TARGETS, ExportTarget
from support import TESTS
from support.shell import Shell, assert_one_error, shell

__all__ = ["shell"]  # the fixture

WRITTEN = TESTS / "written_by_0_1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(WRITTEN / "results" / "slide", tmp_path / "results"))


@pytest.fixture(autouse=True)
def other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A target that writes nothing."""
    monkeypatch.setitem(TARGETS, "other", ExportTarget("other", "others"))
    monkeypatch.setattr(ExportTarget, "load", lambda _self: lambda _run, out, **_more: [out / "x"])


def test_results_are_exported(shell: Shell, folder: Path, tmp_path: Path) -> None:
    answer = shell("export", folder, "--to", "other", "--out", tmp_path / "out")
    assert answer.status == 0, answer.err
    assert "for others" in answer.err + answer.out
    assert str(tmp_path / "out" / "x") in (answer.err + answer.out).replace("\n", "")


def test_several_files_are_named_below_their_folder(
    shell: Shell, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("a_20x.ome.zarr", "a_mean.ome.zarr", "deep/a.h5")
    monkeypatch.setattr(
        ExportTarget, "load", lambda _self: lambda _run, out, **_more: [out / one for one in names]
    )
    monkeypatch.chdir(tmp_path)
    answer = shell("export", folder.name, "--to", "other", "--out", "out")
    told = (answer.out + answer.err).splitlines()
    assert told[0] == "results for others, in out:"
    assert [Path(line) for line in told[1:]] == [Path(f"  {name}") for name in names]


def test_a_model_is_not_what_a_target_of_results_takes(shell: Shell, tmp_path: Path) -> None:
    answer = shell("export", "bundled", "--to", "other", "--out", tmp_path)
    assert_one_error(answer, "bundled is a model", "--to other is for results", "wsinfer, onnx")
    model = WRITTEN / "models" / "mini.safetensors"
    answer = shell("export", model, "--to", "other", "--out", tmp_path)
    assert_one_error(answer, "is a model", "--to other is for results")


def test_results_are_not_what_a_target_of_models_takes(
    shell: Shell, folder: Path, tmp_path: Path
) -> None:
    answer = shell("export", folder, "--to", "onnx", "--out", tmp_path / "a.onnx")
    assert_one_error(answer, "holds the results of a slide", "--to onnx is for models", "other")


def test_a_folder_without_results_and_an_unknown_target_are_refused(
    shell: Shell, tmp_path: Path
) -> None:
    answer = shell("export", tmp_path, "--to", "other", "--out", tmp_path)
    assert_one_error(answer, "holds no results of a slide", "run.json")
    answer = shell("export", tmp_path, "--to", "word", "--out", tmp_path)
    assert_one_error(answer, "no export to 'word'", "wsinfer, onnx for a model", "other for")
