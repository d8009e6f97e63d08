"""The files of a converted network in one, with a checksum: whole, or not there."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Final
from zipfile import ZipFile

from napari_smse.atomic_write import write_atomic

ConvertedFiles = dict[str, bytes]
"""What a runtime reads a network from, by name."""

_CHECKSUM_BYTES: Final = 32


def read_archive(path: Path) -> ConvertedFiles | None:
    """Return what was written, to the last bit; None if there is nothing, or it is damaged."""
    try:
        content = path.read_bytes()
        os.utime(path)
    except OSError:
        return None
    checksum, archived = content[:_CHECKSUM_BYTES], content[_CHECKSUM_BYTES:]
    # An archive's own checksums leave out its names and lengths.
    if hashlib.sha256(archived).digest() != checksum:
        return None
    with ZipFile(io.BytesIO(archived)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_archive(path: Path, files: ConvertedFiles) -> None:
    """Write files whole or not at all; raises `OSError`."""
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    archived = buffer.getvalue()
    write_atomic(path, hashlib.sha256(archived).digest() + archived)
