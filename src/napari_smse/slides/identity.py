"""What a slide is called, and its content named without reading all of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

_BLOCK = 2**16


def slide_name(path: Path) -> str:
    """Return a file's name without its suffix; ``.ome.tif`` counts as one."""
    for suffix in (".ome.tiff", ".ome.tif", ".ome.btf"):
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem if path.suffix else path.name


def quick_hash(path: Path) -> str:
    """Return a SHA-256 over a file's size and its first, middle and last 64 KiB.

    Slides made of several files (a DICOM folder, the folder beside a ``.mrxs``) also
    count the names and sizes of those. Names of folders and of the slide itself do
    not count: a moved slide keeps its hash.

    Parameters
    ----------
    path : Path
        A slide file, or a folder that is a slide.

    Raises
    ------
    OSError
        It is gone, or cannot be read.
    """
    companions = _companions(path)
    first = companions[0] if companions and not path.is_file() else path
    digest = hashlib.sha256(_blocks(first))
    for companion in companions:
        digest.update(f"{companion.name}\0{companion.stat().st_size}\n".encode())
    return digest.hexdigest()


def _companions(path: Path) -> list[Path]:
    folder = None
    if path.is_dir():
        folder = path
    elif path.suffix.lower() == ".mrxs":
        folder = path.with_suffix("")
    elif path.suffix.lower() == ".dcm":
        folder = path.parent
    if folder is None or not folder.is_dir():
        return []
    files = sorted(file for file in folder.iterdir() if file.is_file())
    if path.suffix.lower() == ".dcm":
        files = [file for file in files if file.suffix.lower() == ".dcm"]
    return files


def _blocks(file: Path) -> bytes:
    size = file.stat().st_size
    parts = [str(size).encode()]
    with file.open("rb") as stream:
        for start in (0, max(0, size // 2 - _BLOCK // 2), max(0, size - _BLOCK)):
            stream.seek(start)
            parts.append(stream.read(_BLOCK))
    return b"\0".join(parts)
