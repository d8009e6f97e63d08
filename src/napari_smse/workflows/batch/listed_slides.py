"""Slides that a list names, and those in a folder at an address."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from napari_smse.address import file_system, is_url
from napari_smse.errors import SlideNotFoundError, UnreachableSlideError
from napari_smse.slides import may_be_slide
from napari_smse.slides.byte_ranges import trying
from napari_smse.slides.dicomweb_series import is_series
from napari_smse.slides.remote_path import RemotePath, slide_path

LIST_SUFFIXES: Final = frozenset({".txt", ".csv"})
_COLUMNS: Final = ("slide", "path", "url", "address", "file", "filename", "image", "image_path")


def read_slide_list(file: Path) -> list[str]:
    """Return what a list names: paths, folders, patterns and addresses, in its order.

    Parameters
    ----------
    file
        A text with one a line, or a table with a column ``slide``, ``path`` or ``url``, else the
        first one. Paths are relative to its folder.

    Raises
    ------
    SlideNotFoundError
        It names none, or cannot be read.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise SlideNotFoundError(
            f"the list {file} cannot be read ({reason}); give a text with one slide a line, or a "
            "CSV table"
        ) from error
    column = _column(lines) if file.suffix.lower() == ".csv" else lines
    words = [word.strip() for word in column]
    named = [word for word in words if word and not word.startswith("#")]
    if not named:
        raise SlideNotFoundError(f"the list {file} names no slide; write one a line")
    return [word if is_url(word) else str(file.parent / word) for word in named]


def _column(lines: Sequence[str]) -> list[str]:
    """Return the column of a table that names slides."""
    rows = [row for row in csv.reader(lines) if row]
    if not rows:
        return []
    names = [name.strip().lower() for name in rows[0]]
    known = next((names.index(name) for name in _COLUMNS if name in names), None)
    rows = rows if known is None else rows[1:]
    return [row[known or 0] for row in rows if len(row) > (known or 0)]


def slides_at_address(url: str) -> list[Path]:
    """Return the slide at an address, or those below it where it is a folder: it ends with ``/``.

    Raises
    ------
    SlideNotFoundError
        There is no slide below it, or its server does not list what it has.
    SlideError
        One of its other classes: it cannot be reached.
    """
    place = slide_path(url.partition("?")[0].rstrip("/") if url.endswith("/") else url)
    if not isinstance(place, RemotePath) or not url.endswith("/"):
        return [place]
    if place.is_dir() or is_series(place):
        return [place]
    files, folder = file_system(place.url, UnreachableSlideError)
    listed = files.ls if place.url.startswith("http") else files.find
    found = trying(str(place), lambda: sorted(map(str, listed(folder, detail=False))))
    inside = dict.fromkeys(_within(name.removeprefix(folder).strip("/")) for name in found)
    slides: list[Path] = [place / name for name in inside if name and may_be_slide(place / name)]
    if not slides:
        raise SlideNotFoundError(
            f"there is no slide below {place}/, or its server does not list what it has: give the "
            "addresses of slides, or a list of them"
        )
    return slides


def _within(name: str) -> str:
    """Return the path of a file below a folder, or of the OME-Zarr that it is a part of."""
    parts = PurePosixPath(name).parts
    zarr = next((at for at, part in enumerate(parts) if part.lower().endswith(".zarr")), len(parts))
    return "/".join(parts[: zarr + 1])
