"""Where a slide's results go, and what may lie there from before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_smse.exchange.whole_file import output_error

STORE_NAME = "scores.zarr"
RECORD_NAME = "run.json"
# The record goes first: a folder that has it is whole.
_DERIVED = (RECORD_NAME, "tiles.parquet", "tiles.csv", "tiles.geojson", "heatmap.png")
_TWO_PART_SUFFIXES = (".ome.tif", ".ome.tiff", ".ome.btf")


def result_folder_names(slides: Sequence[Path]) -> list[str]:
    """Name a results folder for each of some slides, no two alike.

    It is the slide's name; where slides share that, the file's whole name; where they
    share that too, the folder's name before it.

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
        taken = [name.casefold() for name in names]
        names = [
            longer(path) if taken.count(key) > 1 else name
            for path, name, key in zip(paths, names, taken, strict=True)
        ]
    return _numbered(names)


def _slide_name(path: Path) -> str:
    if path.is_dir():  # a DICOM folder: the dots in its name are no suffix
        return _file_name(path)
    for suffix in _TWO_PART_SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem


def _file_name(path: Path) -> str:
    return path.name or path.resolve().name or "slide"


def _name_with_folder(path: Path) -> str:
    return "_".join(part for part in (path.parent.name, _file_name(path)) if part)


def _numbered(names: Sequence[str]) -> list[str]:
    """Add a number to names that are still shared."""
    given: set[str] = set()
    told = []
    for name in names:
        free, number = name, 2
        while free.casefold() in given:
            free, number = f"{name}_{number}", number + 1
        given.add(free.casefold())
        told.append(free)
    return told


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
