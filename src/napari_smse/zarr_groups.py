"""Zarr's groups, opened such that memory which does not suffice is an error and no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import zarr
from zarr.abc.store import Store
from zarr.core import sync


def open_group(store: Path | Store, **options: Any) -> zarr.Group:
    """Open a group as `zarr.open_group` does, once the thread that zarr works by is there.

    Zarr keeps a thread that did not start: whatever is asked of it afterwards waits for ever, and a
    traceback follows when Python ends.

    Raises
    ------
    RuntimeError
        The thread does not start, as where memory has run out; a later call tries again.
    """
    _start_thread()
    return zarr.open_group(store, **options)


def _start_thread() -> None:
    """Have zarr start its thread, which it gives no other way to."""
    try:
        sync._get_loop()
    except Exception:
        loop, sync.loop[0], sync.iothread[0] = sync.loop[0], None, None
        if loop is not None:
            loop.close()
        raise
