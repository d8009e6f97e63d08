"""Zarr's groups, opened and made such that lack of memory or disk is an error and no more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import zarr
from zarr.abc.store import Store
from zarr.core import sync

from napari_smse.atomic_write import atomic_folder

_LONGEST_WRITE_S: Final = 30.0
"""For the chunks that are still written after one failed; a share that hangs takes longer."""


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


@contextmanager
def zarr_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a folder for zarr to make, as `atomic_folder` does, and leave nothing of it on failure.

    Of chunks that zarr writes beside each other, the first that fails ends the call: the others are
    still being written, and would make the folder anew after it was removed.

    Parameters
    ----------
    path
        Path of the finished folder; the folders above it are made.
    overwrite
        What lies there may be replaced; it stays until the new one is whole.

    Yields
    ------
    Path
        A path at which nothing lies yet, in the same folder. Threads that are not zarr's own must
        have ended by the end.

    Raises
    ------
    OutputError
        Something lies there already, or it cannot be written; the message names the remedy.
    """
    with atomic_folder(path, overwrite=overwrite) as part:
        try:
            yield part
        except BaseException:
            if sync.loop[0] is not None:
                sync.sync(_others_ended())
            raise


async def _others_ended() -> None:
    """Wait for all else that zarr is at."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others, timeout=_LONGEST_WRITE_S)


def _start_thread() -> None:
    """Have zarr start its thread, which it gives no other way to."""
    try:
        sync._get_loop()
    except Exception:
        loop, sync.loop[0], sync.iothread[0] = sync.loop[0], None, None
        if loop is not None:
            loop.close()
        raise
