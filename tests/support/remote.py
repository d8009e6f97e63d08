"""Fixtures of what lies at addresses: a server of this machine, and what fsspec has in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from napari_smse.slides import (
    byte_ranges,
    dicomweb_series,
    http_ranges,
    remote_file,
    remote_path,
)
from napari_smse.slides.backends import dicomweb
from support.slide_server import SlideServer, served


@pytest.fixture
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again at once."""
    monkeypatch.setattr(byte_ranges, "WAITS", (0.0, 0.0, 0.0))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again at once, and wait half a second for a server."""
    monkeypatch.setattr(byte_ranges, "WAITS", (0.0, 0.0, 0.0))
    monkeypatch.setattr(http_ranges, "STALL_SECONDS", 0.5)


@pytest.fixture
def server(tmp_path: Path, impatient: None) -> Iterator[SlideServer]:
    """A server of an empty folder; nothing of it was fetched before."""
    folder = tmp_path / "served"
    folder.mkdir()
    with served(folder) as there:
        yield there
    forget()


@pytest.fixture
def in_memory() -> Iterator[MemoryFileSystem]:
    """The file system behind ``memory://``, which all tests share, without a file."""
    forget()
    yield MemoryFileSystem()
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


def forget() -> None:
    """Empty what is remembered of addresses, as in a new process."""
    remote_file._cache.clear()
    remote_path._states.clear()
    remote_path._given.clear()
    dicomweb._cache.clear()
    dicomweb_series._frames.clear()
