"""Files that are written whole, and only where there is none: of two writers one is first."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_first(path: Path, blob: bytes) -> None:
    """Write a file that must not be there yet, whole or not at all.

    Parameters
    ----------
    path
        The file; its folder must exist.
    blob
        All of it.

    Raises
    ------
    FileExistsError
        It is there, also where another program wrote it this very moment; it is left as it is.
    OSError
        It cannot be written.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(blob)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes files private to the user; an index may be of many.
        Path(temporary).chmod(0o644)
        _put(Path(temporary), path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _put(temporary: Path, path: Path) -> None:
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:
        # Some disks and shares know no links: looking first leaves a moment in between.
        if path.exists():
            raise FileExistsError(path) from None
        temporary.rename(path)
