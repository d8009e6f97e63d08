"""Files of a model, or of an index of slides, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_whole(path: Path, blob: bytes) -> None:
    """Write a file so that a crash leaves the old one, or none."""
    with _beside(path, blob) as temporary:
        temporary.replace(path)


def write_first(path: Path, blob: bytes) -> None:
    """Write a file that must not be there yet, whole or not at all: of two writers one is first.

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
    with _beside(path, blob) as temporary:
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            raise
        except OSError:
            # Some disks and shares know no links: looking first leaves a moment in between.
            if path.exists():
                raise FileExistsError(path) from None
            temporary.rename(path)


@contextmanager
def _beside(path: Path, blob: bytes) -> Iterator[Path]:
    """Write a file beside a path, which is gone afterwards unless it was moved."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(blob)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes files private to the user; these are ordinary ones.
        temporary.chmod(0o644)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
