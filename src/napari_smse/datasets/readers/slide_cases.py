"""The cases of annotated slides: as a list says, as annotations say, or as names suggest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from napari_smse.annotations.case_id import guess_case, joined_cases
from napari_smse.annotations.tile_notes import read_tile_notes
from napari_smse.datasets.alike_slides import SlidePicture, first_alike, picture_of
from napari_smse.datasets.readers.csv_rows import read_csv_rows
from napari_smse.errors import DataError, RegionError, SmseError
from napari_smse.slides import open_slide
from napari_smse.slides.identity import path_text, slide_name

CASES: Final = "cases.csv"


def case_of_files(
    paths: Sequence[Path], annotations: Iterable[Path], listed: Mapping[str, str], table: Path
) -> str:
    """Return the case of a slide.

    Parameters
    ----------
    paths, annotations
        All of its files, and files of annotations.
    listed, table
        Cases by slide, and the list that gives them.

    Raises
    ------
    DataError
        The list gives its files different cases.
    """
    return (
        _listed_case(paths, listed, table)
        or _stated_case(annotations)
        or path_text(guess_case(slide_name(paths[0])))
    )


def joined_by_tissue(slides: Sequence[tuple[Path, str]]) -> dict[str, str]:
    """Return for each case the one it is: cases of which slides show the same tissue are one."""
    cases = [case for _, case in slides]
    several = len(set(cases)) > 1
    pictures = [_picture(path) if several else None for path, _ in slides]
    return joined_cases(zip(cases, first_alike(pictures), strict=True))


def read_cases(path: Path) -> dict[str, str]:
    """Return the cases that a list gives to slides; none if there is no list.

    Raises
    ------
    DataError
        It cannot be read, or gives a slide two cases.
    """
    if not path.is_file():
        return {}
    cases: dict[str, str] = {}
    for row in read_csv_rows(path, ("slide", "case")).rows:
        slide, case = row["slide"], row["case"]
        if cases.setdefault(slide, case) != case:
            raise DataError(f"{path} gives the slide {slide} two cases: keep one.")
    return cases


def _listed_case(paths: Sequence[Path], cases: Mapping[str, str], table: Path) -> str:
    """Return the case that a list gives to a slide that has these names; empty if it gives none."""
    cases_given = {cases.get(path.name) or cases.get(slide_name(path)) for path in paths} - {
        None,
        "",
    }
    if len(cases_given) > 1:
        raise DataError(
            f"{table} gives {' and '.join(path.name for path in paths)} different cases, but they "
            "are the same slide: give them one."
        )
    return cases_given.pop() or "" if cases_given else ""


def _stated_case(annotations: Iterable[Path]) -> str:
    """Return the case that annotations of a slide state; empty if none does."""
    for path in annotations:
        with suppress(RegionError, OSError, UnicodeDecodeError):  # told where regions are read
            if case := read_tile_notes(path).case:
                return case
    return ""


def _picture(path: Path) -> SlidePicture | None:
    try:
        with open_slide(path) as slide:
            return picture_of(slide)
    except (SmseError, OSError):  # whoever reads its fields says so
        return None
