"""Files of weights that were used before."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from napari_smse.models.encoders import Encoder, find_encoder, known_files
from napari_smse.models.encoders.known_files import file_sha256, last_file, remember_file

UNI, PHIKON = find_encoder("uni"), find_encoder("phikon")


@pytest.fixture(autouse=True)
def nothing_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def used(encoder: Encoder, path: Path) -> str:
    """Fill an encoder from a file, as far as that is remembered."""
    found = file_sha256(path)
    remember_file(encoder, path, found)
    return found


def test_the_hash_is_of_the_content(tmp_path: Path) -> None:
    path = written(tmp_path / "a", b"weights")
    assert used(UNI, path) == hashlib.sha256(b"weights").hexdigest()
    written(path, b"others!")
    os.utime(path, ns=(1, 1))
    assert file_sha256(path) == hashlib.sha256(b"others!").hexdigest()


def test_an_unchanged_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a", b"weights")
    first = used(UNI, path)
    monkeypatch.setattr(known_files.hashlib, "file_digest", None)
    assert file_sha256(path) == first


def test_the_file_that_was_used_last_and_is_still_there_is_found(tmp_path: Path) -> None:
    assert last_file(UNI) is None
    first, second = (written(tmp_path / name, name.encode()) for name in "ab")
    for path in (first, second):
        used(UNI, path)
    used(PHIKON, written(tmp_path / "c", b"c"))
    assert last_file(UNI) == second
    used(UNI, first)
    assert last_file(UNI) == first
    assert last_file(UNI, file_sha256(second)) == second
    first.unlink()
    assert last_file(UNI) == second


def test_a_file_that_was_only_looked_at_is_not_remembered(tmp_path: Path) -> None:
    file_sha256(written(tmp_path / "a", b"weights"))
    assert last_file(UNI) is None


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"a": 3}', b"\xff"])
def test_a_damaged_list_is_as_none(tmp_path: Path, content: bytes) -> None:
    place = known_files._list_path()
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
    assert last_file(UNI) is None
    path = written(tmp_path / "a", b"weights")
    used(UNI, path)
    assert last_file(UNI) == path
