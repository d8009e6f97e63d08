"""What a slide is called, and its content named without reading all of it."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path, PureWindowsPath

from napari_smse.address import is_url
from napari_smse.slides.backends.dicom_series import folder_series, series_files
from napari_smse.slides.backends.ome_zarr import identifying_files
from napari_smse.slides.dicomweb_series import is_series, series_hash
from napari_smse.slides.image_number import file_and_image
from napari_smse.slides.remote_path import RemotePath, slide_path

_BLOCK = 2**16


def slide_name(path: Path) -> str:
    """Return a file's name without its suffix; ``.ome.tif`` counts as one.

    One of several slides of a file is called after both: ``a#2`` for ``a.ome.tif#2``.
    """
    file, image = file_and_image(path)
    if is_series(file):  # whose name is a UID
        return path.name
    whole = file.file_name if isinstance(file, RemotePath) else file.name
    name = Path(whole).stem if Path(whole).suffix else whole
    for suffix in (".ome.tiff", ".ome.tif", ".ome.btf", ".ome.zarr"):
        if whole.lower().endswith(suffix):
            name = whole[: -len(suffix)]
    return name if image is None else f"{name}#{image}"


def quick_hash(path: Path) -> str:
    """Return a SHA-256 over a file's size and its first, middle and last 64 KiB.

    Slides made of several files (a DICOM series, the folder beside a ``.mrxs``) also
    count the names and sizes of those; of an OME-Zarr, its metadata and coarsest level
    count. Names of folders and of the slide itself do not count: a moved slide keeps its
    hash. A DICOM slide has the same one, whether its folder or any file of its series is
    given; on a DICOMweb server it has another, over the UIDs and frames of its images.

    Parameters
    ----------
    path : Path
        A slide file, or a folder that is a slide.

    Raises
    ------
    OSError
        It is gone, or cannot be read.
    """
    path, image = file_and_image(path)
    if isinstance(path, RemotePath) and is_series(path):
        return series_hash(path.url, str(path))
    if zarr_files := identifying_files(path):
        digest = hashlib.sha256()
        for file in zarr_files:
            digest.update(os.fsencode(f"{file.relative_to(path).as_posix()}\0") + _blocks(file))
        return digest.hexdigest()
    dicom = _dicom_files(path)
    companions = dicom or _beside_mirax(path)
    digest = hashlib.sha256(_blocks(dicom[0] if dicom else path))
    if image is not None:
        digest.update(f"#{image}".encode())
    for companion in companions:
        digest.update(os.fsencode(f"{companion.name}\0{companion.stat().st_size}\n"))
    return digest.hexdigest()


Stamps = dict[Path, tuple[int, int | str]]
"""Size and time of change, ns, of each file; of one at an address, what its server says."""


def file_stamps(path: Path) -> Stamps:
    """Return size and time of change, ns, of each file of a slide.

    Raises
    ------
    OSError
        It is gone, or cannot be read.
    """
    path, _ = file_and_image(path)
    if zarr_files := identifying_files(path):
        return stat_files(zarr_files)
    files = [path] if path.is_file() else []
    return stat_files(dict.fromkeys([*files, *_dicom_files(path), *_beside_mirax(path)]))


def stat_files(files: Iterable[Path]) -> Stamps:
    """Return size and time of change, ns, of files; raises `OSError` if one is gone."""
    return {file: _stamp(file) for file in files}


def _stamp(file: Path) -> tuple[int, int | str]:
    if isinstance(file, RemotePath):
        there = file.state()
        return there.size, there.version
    state = file.stat()
    return state.st_size, state.st_mtime_ns


def _dicom_files(path: Path) -> list[Path]:
    """Return the files of a DICOM slide by name; none for any other slide."""
    if isinstance(path, RemotePath):
        return []
    if path.is_dir():
        series = list(folder_series(path).values())
        inside = sorted(file for file in path.iterdir() if file.is_file())
        return list(series_files(series[0][0])) or inside if series else inside
    same = list(series_files(path))
    if same or path.suffix.lower() != ".dcm":
        return same
    # A header that cannot be read: all that might be of the slide counts.
    return [path, *sorted(file for file in path.parent.glob("*.dcm") if file != path)]


def _beside_mirax(path: Path) -> list[Path]:
    folder = path.with_suffix("")
    if path.suffix.lower() != ".mrxs" or isinstance(path, RemotePath) or not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if file.is_file())


def _blocks(file: Path) -> bytes:
    size = file.stat().st_size
    parts = [str(size).encode()]
    with file.open("rb") as stream:
        for start in (0, max(0, size // 2 - _BLOCK // 2), max(0, size - _BLOCK)):
            stream.seek(start)
            parts.append(stream.read(_BLOCK))
    return b"\0".join(parts)


_ESCAPED = re.compile(r"\\udc([89a-f][0-9a-f])")
_ON_WINDOWS = re.compile(r"[A-Za-z]:\\|\\\\[^\\]")  # C:\slides and \\server\slides


def path_text(path: str | Path) -> str:
    r"""Return a path or a name, with ``\udce9`` for the byte e9 where it is not UTF-8."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def text_path(text: str) -> Path:
    """Return the path that `path_text` made a text of, perhaps on Windows."""
    if is_url(text):
        return slide_path(text)
    path = Path(text)
    if os.name == "nt" or path.exists():  # names are Unicode there, and may hold a backslash here
        return path
    if _ON_WINDOWS.match(text):
        return Path(PureWindowsPath(text).as_posix())  # so that it has its name, and no more
    return Path(_ESCAPED.sub(lambda match: chr(int(f"dc{match[1]}", 16)), text))
