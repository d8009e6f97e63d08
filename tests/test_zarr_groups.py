"""A thread of zarr's that finds no memory holds nothing up that comes after it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import zarr
from zarr.core import sync

from napari_smse.errors import is_out_of_memory
from napari_smse.zarr_groups import open_group


def test_a_thread_that_did_not_start_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "loop", [None])
    monkeypatch.setattr(sync, "iothread", [None])
    with monkeypatch.context() as without_memory:

        def no_memory(_thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        without_memory.setattr(threading.Thread, "start", no_memory)
        with pytest.raises(RuntimeError, match="can't start new thread") as caught:
            open_group(tmp_path / "a.zarr", mode="w")
    assert is_out_of_memory(caught.value)
    assert sync.loop[0] is None  # else what zarr does when Python ends fails
    assert isinstance(open_group(tmp_path / "a.zarr", mode="w"), zarr.Group)
    sync.cleanup_resources()
