"""Files that are either written whole or not there at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from napari_smse.errors import OutputError

_REMEDIES = {
    errno.EACCES: "you may not write there; choose another output folder",
    errno.EPERM: "you may not write there; choose another output folder",
    errno.EROFS: "that disk is read-only; choose another output folder",
    errno.ENOSPC: "the disk is full; free some space or choose another output folder",
    errno.EDQUOT: "your quota is used up; free some space or choose another output folder",
    errno.ENOENT: "its folder does not exist; create it first",
    errno.ENOTDIR: "a part of its path is a file, not a folder; choose another output folder",
    errno.EISDIR: "there is a folder of that name; remove it or choose another output folder",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter output folder",
}


def output_error(path: Path, error: OSError) -> OutputError:
    """Say in one line which file cannot be written, why, and what to do."""
    reason = error.strerror or str(error)
    remedy = _REMEDIES.get(error.errno or 0, f"{reason}; choose another output folder")
    return OutputError(f"cannot write {path}: {remedy}")


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a file to write beside `path`, and put it in its place at the end.

    A reader sees the old file or the new one, never half of either, and a run that
    is killed leaves nothing behind that looks like a result.

    Parameters
    ----------
    path
        Where the finished file shall stand; its folder must exist.

    Yields
    ------
    Path
        A file that does not exist yet, in the same folder.

    Raises
    ------
    OutputError
        If the system refuses, with what to do about it.
    """
    part = path.with_name(f".{path.name}.{uuid4().hex[:8]}.part")
    try:
        yield part
        os.replace(part, path)  # noqa: PTH105 - the one call that promises to be atomic
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
