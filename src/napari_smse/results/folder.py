"""Where a slide's results go, and what may lie there from before."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from napari_smse.atomic_write import output_error, parts_of
from napari_smse.slides.identity import slide_name

STORE_NAME = "scores.zarr"
RECORD_NAME = "run.json"
TABLE_NAME = "tiles.parquet"
PICTURE_NAME = "heatmap.png"
REPORT_NAME, REPORT_PDF_NAME = "report.html", "report.pdf"
# The record goes first: a folder that has it is whole.
_DERIVED = (
    RECORD_NAME,
    TABLE_NAME,
    "tiles.csv",
    "tiles.geojson",
    PICTURE_NAME,
    REPORT_NAME,
    REPORT_PDF_NAME,
)
_UNSAFE = re.compile(r"[\\/<>:\"|?*\x00-\x1f\x7f\ud800-\udfff]")
_PORTS = {f"{port}{number}" for port in ("COM", "LPT") for number in "0123456789¹²³"}
_DEVICES = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"} | _PORTS


def result_folder_names(slides: Sequence[Path]) -> list[str]:
    """Name a results folder for each slide, no two alike.

    It is the slide's name; where slides share that, the file's whole name; where they
    share that too, the folder's name before it, and at last a number, by path. So a slide's
    name does not depend on the order.

    Parameters
    ----------
    slides
        Paths of different slides.

    Returns
    -------
    list of str
        In the order of `slides`.
    """
    paths = [path.absolute() for path in slides]
    names = [_slide_name(path) for path in paths]
    for longer in (_file_name, _name_with_folder):
        keys = [name.casefold() for name in names]
        names = [
            longer(path) if keys.count(key) > 1 else name
            for path, name, key in zip(paths, names, keys, strict=True)
        ]
    return _numbered(names, paths)


def _slide_name(path: Path) -> str:
    if (
        path.is_dir() and path.suffix != ".zarr"
    ):  # a DICOM folder: the dots in its name are no suffix
        return _file_name(path)
    name = slide_name(path)
    return folder_name(name) if name.strip(" .") else _file_name(path)


def _file_name(path: Path) -> str:
    name = path.name if path.name.strip(" .") else path.resolve().name
    return folder_name(name)


def _name_with_folder(path: Path) -> str:
    return "_".join(part for part in (folder_name(path.parent.name, ""), _file_name(path)) if part)


def folder_name(name: str, fallback: str = "slide") -> str:
    """Make a name that is a folder's on every disk, in whatever folder it is joined to.

    ``%5C`` stands for what separates folders somewhere, ``%3A`` for what Windows has in no name,
    ``%E9`` for a byte that is not UTF-8;
    blanks and dots at the end go, as Windows drops them, and names of its devices get a ``_``.

    Parameters
    ----------
    name
        Name of a slide.
    fallback
        Name to return where nothing is left.
    """
    safe = _UNSAFE.sub(_percent, name).rstrip(" .")
    if safe.partition(".")[0].strip().upper() in _DEVICES:
        return f"_{safe}"
    return safe or fallback


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in os.fsencode(match[0]))


def _numbered(names: Sequence[str], paths: Sequence[Path]) -> list[str]:
    """Add a number to names that are still shared, in the order of their paths."""
    used: set[str] = set()
    unique = list(names)
    for place in sorted(range(len(names)), key=paths.__getitem__):
        free, number = names[place], 2
        while free.casefold() in used:
            free, number = f"{names[place]}_{number}", number + 1
        used.add(free.casefold())
        unique[place] = free
    return unique


def remove_results(folder: Path) -> None:
    """Remove tables, picture and record from a folder, but not its scores.

    Results that a new run will replace must not stand beside its unfinished scores.

    Raises
    ------
    OutputError
        If one of them cannot be removed.
    """
    for name in _DERIVED:
        try:
            (folder / name).unlink()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise output_error(folder / name, error) from error


def remove_unfinished(folder: Path) -> None:
    """Remove what a run that was killed had only begun to write beside tables, picture and record.

    Call it only while no other process writes to the folder.

    Raises
    ------
    OutputError
        If something cannot be removed.
    """
    for name in _DERIVED:
        for part in parts_of(folder / name):
            try:
                part.unlink(missing_ok=True)
            except OSError as error:
                raise output_error(part, error) from error
