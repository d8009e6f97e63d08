"""DICOM slides: files of one folder that share a series."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from napari_smse.errors import DamagedSlideError, NotASlideError, SlideError
from napari_smse.slides.backends.dicom_header import (
    WHOLE_SLIDE_IMAGE,
    DicomHeader,
    describe_object,
    is_dicom,
    read_header,
)
from napari_smse.slides.backends.level_steps import SizedSpacing

_LEVEL = "VOLUME"


def slides_in_folder(folder: Path) -> list[Path]:
    """Return the path to open for each DICOM slide whose files lie in a folder.

    It is the folder where there is one slide, a file of each where there are several, and
    nothing where there is none. A file whose header is damaged counts if nothing else does, so
    that opening it gives the reason.

    Raises
    ------
    OSError
        The folder or a file in it cannot be read.
    """
    series = folder_series(folder)
    if len(series) < 2:
        return [folder] if series else []
    return sorted(files[0] for files in series.values())


def folder_series(folder: Path) -> dict[str, list[Path]]:
    """Return the files with levels of slides in a folder, sorted by name, by their series."""
    series_by_uid: dict[str, list[Path]] = {}
    damaged: list[Path] = []
    for file in sorted(folder.iterdir()):
        if not is_dicom(file):
            continue
        header = read_header(file)
        if header is None:
            damaged.append(file)
        elif _is_level(header):
            series_by_uid.setdefault(header.series, []).append(file)
    return series_by_uid or ({"": damaged} if damaged else {})


def may_be_level(file: Path) -> bool:
    """Tell whether a DICOM file is a level of a slide, or so damaged that it might be."""
    header = read_header(file)
    return header is None or _is_level(header)


def _is_level(header: DicomHeader) -> bool:
    return header.sop_class == WHOLE_SLIDE_IMAGE and header.flavour in {_LEVEL, ""}


def is_non_slide_dicom(file: Path) -> bool:
    """Tell whether a file is DICOM that is no slide, such as annotations or a report."""
    header = read_header(file)
    return header is not None and header.sop_class not in {WHOLE_SLIDE_IMAGE, ""}


def slide_series(path: Path) -> tuple[Path, str] | None:
    """Return folder and series that make a path one DICOM slide; None for any other slide."""
    if path.is_dir():
        series = list(folder_series(path))
        return (path, series[0]) if len(series) == 1 else None
    header = read_header(path)
    return None if header is None or not header.series else (path.parent, header.series)


def series_files(file: Path) -> Iterator[Path]:
    """Yield the DICOM files beside a file that belong to its series, itself too, by name."""
    header_of_file = read_header(file)
    if header_of_file is None:
        return
    for other in sorted(file.parent.iterdir()):
        header = read_header(other) if other.is_file() else None
        if header is not None and header.series == header_of_file.series:
            yield other


def level_spacings(file: Path) -> list[SizedSpacing]:
    """Return size and spacing of each level in a file's series."""
    headers = [read_header(member) for member in series_files(file)]
    return [
        (header.width, header.height, header.spacing)
        for header in headers
        if header is not None and header.flavour == _LEVEL
    ]


def refused_dicom(file: Path) -> SlideError:
    """Return why a DICOM file that OpenSlide does not open is none that can be read."""
    header = read_header(file)
    if header is None or not header.sop_class:
        return DamagedSlideError(f"{file.name} has a damaged DICOM header; copy it again")
    if is_non_slide_dicom(file):
        return NotASlideError(
            f"{file.name} holds {describe_object(header)}, and is not a slide; open a slide file"
        )
    return DamagedSlideError(
        f"{file.name} is a DICOM slide in a form OpenSlide does not read; "
        "export it from the scanner's software in another one"
    )
