"""Files at addresses, read at positions."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import pairwise

import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_smse.errors import SlideError
from napari_smse.slides import remote_file
from napari_smse.slides.remote_file import BLOCK, RemoteFile
from napari_smse.slides.remote_path import RemotePath, slide_path
from support.remote import forget, impatient, in_memory, server
from support.slide_server import SlideServer

__all__ = ["impatient", "in_memory", "server"]  # the fixtures
CONTENT = np.random.default_rng(0).integers(0, 256, 20 * BLOCK + 77, dtype=np.uint8).tobytes()


def opened(url: str) -> RemoteFile:
    path = slide_path(url)
    assert isinstance(path, RemotePath)
    return path.open_file()


@pytest.fixture
def remote(server: SlideServer) -> RemoteFile:
    (server.folder / "a.bin").write_bytes(CONTENT)
    return opened(f"{server.url}/a.bin")


parts = st.lists(
    st.tuples(st.integers(0, len(CONTENT) + 9), st.integers(0, 3 * BLOCK)), min_size=1, max_size=6
)


@given(parts, st.booleans())
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_part_is_what_lies_there(
    in_memory: MemoryFileSystem, parts: list[tuple[int, int]], ahead: bool
) -> None:
    forget()
    in_memory.pipe("/a.bin", CONTENT)
    file = opened("memory://a.bin")
    if ahead:
        file.prefetch([(start, start + count) for start, count in parts])
    for start, count in parts:
        assert file.read(start, count) == CONTENT[start : start + count]


def test_no_byte_is_fetched_twice_by_many_threads(remote: RemoteFile, server: SlideServer) -> None:
    places = [(number * 4099) % len(CONTENT) for number in range(300)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda place: remote.read(place, 500), places))
    assert found == [CONTENT[place : place + 500] for place in places]
    parts = sorted((start, stop) for _, start, stop in server.served[1:])  # the first: its state
    assert all(stop <= start for (_, stop), (start, _) in pairwise(parts))


def test_a_block_that_others_fetch_meanwhile_is_not_fetched_again(
    remote: RemoteFile, server: SlideServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Another thread comes where it would do most harm: after a block was not found in the cache.
    get = remote_file._cache.get
    first = threading.current_thread()
    others: list[Future[bytes]] = []

    def get_and_wait(key: Hashable) -> NDArray[np.uint8] | None:
        found = get(key)
        if threading.current_thread() is first and not others:
            others.append(pool.submit(remote.read, 0, 9))
            wait(others, timeout=0.3)  # it may have to wait for us
        return found

    monkeypatch.setattr(remote_file._cache, "get", get_and_wait)
    requests = server.requests
    with ThreadPoolExecutor(1) as pool:
        assert remote.read(0, 9) == CONTENT[:9]
        assert others[0].result() == CONTENT[:9]
    assert server.requests - requests == 1


def test_parts_made_ready_are_fetched_together_and_alone(
    remote: RemoteFile, server: SlideServer
) -> None:
    before, requests = server.bytes_served, server.requests
    remote.prefetch([(0, 10), (5, BLOCK + 1), (7 * BLOCK, 7 * BLOCK + 1)])
    assert server.bytes_served - before == 3 * BLOCK
    assert server.requests - requests == 2
    assert remote.read(0, BLOCK + 1) == CONTENT[: BLOCK + 1]
    assert server.requests - requests == 2


def test_memory_is_bounded(remote: RemoteFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_file._cache, "limit", 3 * BLOCK)
    assert remote.read(0, len(CONTENT)) == CONTENT
    assert remote_file._cache.nbytes <= 3 * BLOCK


def test_a_file_that_is_opened_again_is_not_fetched_again(
    remote: RemoteFile, server: SlideServer
) -> None:
    remote.read(0, 100)
    remote.close()
    with pytest.raises(SlideError, match=r"a\.bin was closed"):
        remote.read(0, 1)
    before = server.bytes_served
    assert opened(f"{server.url}/a.bin").read(0, 100) == CONTENT[:100]
    assert server.bytes_served == before


def test_what_changed_is_never_mixed_with_what_was(server: SlideServer) -> None:
    path = slide_path(f"{server.url}/a.bin")
    assert isinstance(path, RemotePath)
    for content in (CONTENT, CONTENT[::-1]):
        (server.folder / "a.bin").write_bytes(content)
        path.state()  # as opening asks
        assert path.open_file().read(0, 999) == content[:999]


def test_a_server_that_says_no_version_is_asked_afresh(server: SlideServer) -> None:
    server.tags = False
    test_what_changed_is_never_mixed_with_what_was(server)
