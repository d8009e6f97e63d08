"""One process at a time writes to a place."""

from __future__ import annotations

import errno
import logging
import os
import socket
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from napari_smse.errors import OutputError

LOCK_NAME = ".napari-smse.lock"
"""Of the lock in a folder of results."""

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_log = logging.getLogger(__name__)


class WriteLock:
    """The right to write to a place, until `release` or the end of the process, however it ends.

    Another process, or another lock of this one, is refused meanwhile. On a network drive it holds
    between machines as far as the drive passes locks on; where a disk knows no locks, a warning
    says so.

    Parameters
    ----------
    file
        Lock file; its folder is made. It is gone after `release`.
    what
        The place, as a message calls it.

    Raises
    ------
    OutputError
        Another process writes there, or the lock file cannot be written.
    """

    def __init__(self, file: Path, what: Path) -> None:
        self._lock = FileLock(file, timeout=0, thread_local=False)
        self._file, self._holder = file, file.with_name(f"{file.name}.by")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"Cannot make the folder {file.parent}: {error.strerror or error}. Choose a folder "
                "that you may write to."
            ) from error
        try:
            self._lock.acquire()
        except Timeout as error:
            raise OutputError(
                f"{what} is being written by {self._holder_name()}: wait until it is done, or "
                "choose another folder."
            ) from error
        except OSError as error:
            self._continue_without(error, what)
            return
        with suppress(OSError):
            text = f"process {os.getpid()} on {socket.gethostname()}"
            self._holder.write_text(text, encoding="utf-8")

    def __enter__(self) -> WriteLock:
        """Return the lock."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the right up."""
        self.release()

    def release(self) -> None:
        """Give the right up; a second time does nothing."""
        if not self._lock.is_locked:
            return
        with suppress(OSError):
            self._holder.unlink(missing_ok=True)
        if os.name != "nt":  # there it goes with the lock, and an open file cannot be removed
            # While it is held: who opened it just before finds a file that is no longer there.
            with suppress(OSError):
                self._file.unlink(missing_ok=True)
        self._lock.release()

    def _holder_name(self) -> str:
        try:
            return self._holder.read_text(encoding="utf-8") or "another process"
        except (OSError, ValueError):
            return "another process"

    def _continue_without(self, error: OSError, what: Path) -> None:
        if error.errno not in _NO_LOCKS:
            raise OutputError(
                f"Cannot write results to {what}: {error.strerror or error}. Choose a folder that "
                "you may write to, on a disk with room."
            ) from error
        _log.warning("The disk of %s knows no locks: let one process at a time write there.", what)


def folder_lock(folder: Path) -> WriteLock:
    """Return the right to write to a folder of results; raises as `WriteLock` does."""
    return WriteLock(folder / LOCK_NAME, folder)


def store_lock(store: Path) -> WriteLock:
    """Return the right to write to a store that lies among others; raises as `WriteLock` does."""
    return WriteLock(store.with_name(f".{store.name}.lock"), store)
