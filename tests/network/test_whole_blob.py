"""Files that are written whole, and those of which the first writer's stays."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from napari_smse.network.whole_blob import write_first, write_whole


@pytest.fixture(params=["links", "no links"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on a disk that knows links, or none."""
    if request.param == "no links":

        def refuse(*_: object) -> None:
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(os, "link", refuse)
    return tmp_path


def test_it_is_written_and_nothing_else_left(folder: Path) -> None:
    write_first(folder / "a", b"whole")
    assert [one.name for one in folder.iterdir()] == ["a"]
    assert (folder / "a").read_bytes() == b"whole"
    assert (folder / "a").stat().st_mode & 0o777 == 0o644


def test_a_whole_file_takes_the_place_of_another(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    write_whole(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert [one.name for one in tmp_path.iterdir()] == ["a"]


def test_a_disk_that_is_full_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["a"]


def test_what_is_there_stays(folder: Path) -> None:
    write_first(folder / "a", b"first")
    with pytest.raises(FileExistsError):
        write_first(folder / "a", b"second")
    assert (folder / "a").read_bytes() == b"first"
    assert [one.name for one in folder.iterdir()] == ["a"]


def test_a_full_disk_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_first(folder / "a", b"whole")
    assert list(folder.iterdir()) == []


def test_of_many_at_once_one_is_first(tmp_path: Path) -> None:
    ready, first = threading.Barrier(8), []

    def write(number: int) -> None:
        blob = bytes([number]) * 100_000
        ready.wait()
        try:
            write_first(tmp_path / "a", blob)
        except FileExistsError:
            return
        first.append(blob)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(tmp_path / "a").read_bytes()] == first
