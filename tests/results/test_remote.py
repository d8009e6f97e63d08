"""Results where a URL points to."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from napari_smse.errors import OutputError
from napari_smse.results import RemoteFolder


@pytest.fixture(autouse=True)
def empty_memory() -> Iterator[None]:
    """Leave nothing in what all tests share."""
    yield
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


def write_results(folder: Path, **more: str) -> Path:
    (folder / "scores.zarr" / "scale_0").mkdir(parents=True)
    (folder / "scores.zarr" / "scale_0" / "0").write_text("scores")
    (folder / "run.json").write_text("{}")
    for name, content in more.items():
        (folder / name).write_text(content)
    return folder


@pytest.fixture(params=["memory://results/x", "file://{}/results/x"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(request.param).format(tmp_path.as_posix())


def files(url: str) -> list[str]:
    """What lies there, relative to it."""
    system, path = fsspec.core.url_to_fs(url)
    return sorted(name.partition(f"{path}/")[2] for name in system.find(path))


def test_a_folder_comes_across_whole(url: str, tmp_path: Path) -> None:
    there = RemoteFolder(url + "/")
    assert there.read("slide/run.json") is None
    assert not there.exists("slide/run.json")
    there.put(write_results(tmp_path / "slide", table="a"), "slide")
    assert files(url) == ["slide/run.json", "slide/scores.zarr/scale_0/0", "slide/table"]
    assert there.read("slide/table") == b"a"
    assert there.exists("slide/run.json")


def test_nothing_of_earlier_results_remains(url: str, tmp_path: Path) -> None:
    there = RemoteFolder(url)
    there.put(write_results(tmp_path / "old", picture="old"), "slide")
    there.put(write_results(tmp_path / "other"), "other")
    there.put(write_results(tmp_path / "new", table="new"), "slide")
    assert "slide/picture" not in files(url)
    assert there.read("slide/table") == b"new"
    assert there.exists("other/run.json")


def test_a_copy_that_breaks_off_does_not_look_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = RemoteFolder("memory://results")
    there.put(write_results(tmp_path / "old"), "slide")
    put_file = MemoryFileSystem.put_file

    def break_off(self: MemoryFileSystem, local: str, remote: str, **options: Any) -> None:
        if remote.endswith("table"):
            raise OSError("connection lost")
        put_file(self, local, remote, **options)

    monkeypatch.setattr(MemoryFileSystem, "put_file", break_off)
    with pytest.raises(
        OutputError, match=r"cannot write memory://results: connection lost; .*kept"
    ):
        there.put(write_results(tmp_path / "new", table="new"), "slide")
    assert not there.exists("slide/run.json")


def test_a_missing_backend_is_named() -> None:
    with pytest.raises(OutputError, match="pip install ocifs"):
        RemoteFolder("oci://bucket/x")


def test_an_unknown_kind_of_place_is_told() -> None:
    with pytest.raises(OutputError, match=r"carrier-pigeon://loft is no place .* s3://"):
        RemoteFolder("carrier-pigeon://loft")


def test_without_fsspec_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(OutputError, match=r'pip install "napari-smse\[remote\]"'):
        RemoteFolder("memory://x")
