"""Files of weights that were used before."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from napari_smse.models.encoders import find_encoder, known_files
from napari_smse.models.encoders.known_files import file_sha256, last_file

UNI, PHIKON = find_encoder("uni"), find_encoder("phikon")


@pytest.fixture(autouse=True)
def nothing_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_the_hash_is_of_the_content(tmp_path: Path) -> None:
    path = written(tmp_path / "a", b"weights")
    assert file_sha256(UNI, path) == hashlib.sha256(b"weights").hexdigest()
    written(path, b"others!")
    os.utime(path, ns=(1, 1))
    assert file_sha256(UNI, path) == hashlib.sha256(b"others!").hexdigest()


def test_an_unchanged_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a", b"weights")
    first = file_sha256(UNI, path)
    monkeypatch.setattr(known_files.hashlib, "file_digest", None)
    assert file_sha256(UNI, path) == first


def test_the_last_file_that_is_still_there_is_found(tmp_path: Path) -> None:
    assert last_file(UNI) is None
    first, second = (written(tmp_path / name, name.encode()) for name in "ab")
    for path in (first, second):
        file_sha256(UNI, path)
    file_sha256(PHIKON, written(tmp_path / "c", b"c"))
    assert last_file(UNI) == second
    second.unlink()
    assert last_file(UNI) == first
    os.utime(first, ns=(5, 5))
    file_sha256(UNI, first)
    assert last_file(UNI) == first


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"a": 3}', b"\xff"])
def test_a_damaged_list_is_as_none(tmp_path: Path, content: bytes) -> None:
    place = known_files._list_path()
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
    assert last_file(UNI) is None
    path = written(tmp_path / "a", b"weights")
    file_sha256(UNI, path)
    assert last_file(UNI) == path
