"""Which slides are meant by paths, folders and patterns."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import tifffile

from napari_smse.address import is_url
from napari_smse.errors import DamagedSlideError, SlideNotFoundError
from napari_smse.results import STORE_NAME
from napari_smse.slides import may_be_slide, slide_series, slides_in_file, slides_in_folder
from napari_smse.slides.backends.ome_zarr import is_ome_zarr
from napari_smse.slides.backends.tiff_images import ome_file_names
from napari_smse.slides.probe import require_openable
from napari_smse.slides.remote_path import RemotePath
from napari_smse.workflows.batch.listed_slides import (
    LIST_SUFFIXES,
    read_slide_list,
    slides_at_address,
)

_PARTS_LISTED_IN = {".vms", ".vmu"}
"""Hamamatsu's index files: the pixels lie in files beside them, some of which end in .jpg."""

_OME_SUFFIXES = (".ome.tif", ".ome.tiff", ".ome.btf")


def find_slides(words: Sequence[str]) -> list[Path]:
    """List the slides that paths, folders and patterns stand for, each once.

    A file counts whatever its name. A folder stands for all slide files in it and below, or for
    itself if it holds a DICOM slide; for a file of each series if it holds several, any other
    file of a series being the same slide. What is hidden, and results of ours, are left out, as are
    files that only belong to a slide beside them.

    Parameters
    ----------
    words
        As given in a shell; ``*``, ``?``, ``[…]`` and ``**`` make a pattern of what is no path. A
        URL is a slide, or a folder of slides if it ends with ``/``; a ``.txt`` or ``.csv`` is a
        list of all these.

    Raises
    ------
    SlideNotFoundError
        If there is no slide in a folder, or none that a pattern matches.
    """
    found: dict[str, Path] = {}
    for word in words:
        for one in read_slide_list(Path(word)) if _is_list(word) else [word]:
            for path in _meant_by(one):
                found.setdefault(_slide_key(path), path)
    return list(found.values())


def _is_list(word: str) -> bool:
    path = Path(word)
    if is_url(word) or path.suffix.lower() not in LIST_SUFFIXES or path.is_dir():
        return False
    return path.exists() or not glob.has_magic(word)


def _slide_key(path: Path) -> str:
    """Return what is the same for all ways to name a slide: any file of a DICOM series is one."""
    if isinstance(path, RemotePath):
        return str(path)
    try:
        series = slide_series(path)
    except OSError:
        series = None  # opening it says why
    place, name = (path, "") if series is None else series
    return os.path.normcase(place.absolute()) + (f"\0{name}" if name else "")


def _meant_by(word: str) -> list[Path]:
    if is_url(word):
        return slides_at_address(word)
    path = Path(word)
    if is_ome_zarr(path):
        return [path]
    if path.is_dir():
        slides = list(_below(path))
        if not slides:
            raise SlideNotFoundError(
                f"there is no slide in {word}: the folder {path.resolve().name} holds no DICOM "
                "slide and no file that ends as slides do; open a slide file or another folder"
            )
        return slides
    if path.exists() or not glob.has_magic(word):
        return [path]  # if there is none, opening it says so
    slides = list(_matching(word))
    if not slides:
        raise SlideNotFoundError(
            f"no slide matches {word}; check the pattern, and that the files end as slides do, "
            "such as .svs or .tif"
        )
    return slides


def _matching(pattern: str) -> Iterator[Path]:
    matches = sorted(Path(match) for match in glob.glob(pattern, recursive=True))  # noqa: PTH207
    files = [path for path in matches if path.is_file() and not _in_results(path)]
    yield from _slides_among(files)
    for folder in matches:
        if is_ome_zarr(folder):
            yield folder
        elif folder.is_dir() and not _belongs_to_others(folder):
            yield from _below(folder)


def _below(folder: Path) -> Iterator[Path]:
    """Slides in a folder and in those below, sorted by name."""
    inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    slides = [path for path in inside if path.is_file()]
    if may_be_slide(folder):
        yield from slides_in_folder(folder)
        slides = [path for path in slides if path.suffix.lower() != ".dcm"]
    yield from _slides_among(slides)
    for path in inside:
        if is_ome_zarr(path):
            yield path
        elif path.is_dir() and not _belongs_to_others(path) and not _leads_back(path):
            yield from _below(path)


def _leads_back(folder: Path) -> bool:
    """Whether a link leads to a folder that it lies in."""
    if not (folder.is_symlink() or _is_junction(folder)):
        return False
    return folder.resolve() in folder.parent.resolve().joinpath("x").parents


def _is_junction(folder: Path) -> bool:
    """Whether a folder is a link as Windows has them besides; Python before 3.12 does not know."""
    return getattr(os.path, "isjunction", lambda _path: False)(folder)


def _belongs_to_others(folder: Path) -> bool:
    """Whether a folder holds results of ours, or the pixels of a MIRAX slide beside it."""
    ours = (folder / STORE_NAME).exists() or folder.suffix == ".zarr"
    return ours or (folder.parent / f"{folder.name}.mrxs").is_file()


def _in_results(file: Path) -> bool:
    """Whether a file lies among results of ours, as the picture of a heat map does."""
    return any(_belongs_to_others(folder) for folder in file.absolute().parents)


def _slides_among(files: Sequence[Path]) -> Iterator[Path]:
    """Files that are slides by their names, without those that belong to another of them."""
    slides = [path for path in files if may_be_slide(path)]
    parts: set[Path] = set()
    for path in slides:
        if path.suffix.lower() in _PARTS_LISTED_IN:
            parts |= _listed_parts(path)
    for path in slides:
        if path not in parts:
            parts |= _other_ome_parts(path)
            yield from _slides_of(path, alone=len(slides) == 1)


def _slides_of(path: Path, *, alone: bool) -> list[Path]:
    """Return what to open of a file, which one that ends the process is not asked for."""
    try:
        if not alone:
            require_openable(path)
    except DamagedSlideError:
        return [path]  # opening it says why
    return slides_in_file(path)


def _listed_parts(index: Path) -> set[Path]:
    """Files beside an index file that it names."""
    try:
        lines = index.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()  # opening it says why
    return {index.parent / line.partition("=")[2].strip() for line in lines if "=" in line}


def _other_ome_parts(path: Path) -> set[Path]:
    """Other files that the OME-XML of a file counts to the same image."""
    if not path.name.lower().endswith(_OME_SUFFIXES):
        return set()
    try:
        with tifffile.TiffFile(path) as tiff:
            names = ome_file_names(tiff.pages.first.description)
    except Exception:
        # A damaged file fails in any way it likes; opening it says why.
        return set()
    return {path.parent / name for name in names} - {path}
