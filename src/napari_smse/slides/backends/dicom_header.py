"""The header of a DICOM file, read without its pixels.

OpenSlide gives this only for the level it puts first, and for no file that is not an image.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from napari_smse.slides.backends.level_steps import Spacing

if TYPE_CHECKING:
    from pydicom import Dataset

WHOLE_SLIDE_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.77.1.6"
"""SOP class of the images OpenSlide reads."""

_KINDS: Final = {
    "1.2.840.10008.1.3.10": "a list of files (DICOMDIR)",
    "1.2.840.10008.5.1.4.1.1.66.4": "a segmentation",
    "1.2.840.10008.5.1.4.1.1.30": "a parametric map",
    "1.2.840.10008.5.1.4.1.1.91.1": "annotations of a slide",
    "1.2.840.10008.5.1.4.1.1.77.1.2": "a microscope photograph",
    "1.2.840.10008.5.1.4.1.1.77.1.3": "a microscope photograph",
}
_REPORTS = "1.2.840.10008.5.1.4.1.1.88."

_MAGIC = b"DICM"
_PREAMBLE = 128
_PER_FRAME: Final = 0x52009230
"""What comes next may be an item for each of a million tiles; nothing of it is wanted."""


@dataclass(frozen=True)
class DicomHeader:
    """The fields of a DICOM file that decide whether it is a slide.

    Parameters
    ----------
    sop_class : str
        UID of its kind of object.
    modality : str
        Modality, such as "SM" for slide microscopy or "ANN" for annotations.
    series : str
        SeriesInstanceUID: files that share it, in one folder, are one slide.
    flavour : str
        "VOLUME" for a level of a slide; "LABEL", "OVERVIEW" or "THUMBNAIL".
    width, height : int
        Size of the whole image, px; 0 if it is none.
    spacing : tuple of float or None
        Size of a pixel across and down, um.
    """

    sop_class: str
    modality: str
    series: str
    flavour: str
    width: int
    height: int
    spacing: Spacing | None


def is_dicom(file: Path) -> bool:
    """Return from its first bytes whether a file is DICOM."""
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return stream.read(_PREAMBLE + len(_MAGIC))[_PREAMBLE:] == _MAGIC


def describe_object(header: DicomHeader) -> str:
    """Describe the content of a DICOM file that is no slide."""
    if header.sop_class.startswith(_REPORTS):
        return "a DICOM report"
    kind = _KINDS.get(header.sop_class)
    if kind is not None:
        return f"{kind} (DICOM)"
    return f"a DICOM object of modality {header.modality or 'unknown'} ({header.sop_class})"


def read_header(file: Path) -> DicomHeader | None:
    """Return a DICOM file's header; None if it is another file, or its header is damaged.

    Raises
    ------
    OSError
        The file is gone, or cannot be read.
    """
    status = file.stat()
    return _read_header(str(file), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _read_header(file: str, size: int, changed: int) -> DicomHeader | None:
    path = Path(file)
    if not is_dicom(path):
        return None
    # Here, as most slides are of other formats.
    from pydicom.filereader import read_partial

    pixels_follow = False

    def reached_pixels(tag: int, *_: object) -> bool:
        nonlocal pixels_follow
        pixels_follow = tag >= _PER_FRAME
        return pixels_follow

    with path.open("rb") as stream, warnings.catch_warnings(action="ignore"):
        try:
            dataset = read_partial(stream, reached_pixels)
            header = header_of(dataset)
        except Exception:  # pydicom raises what its many converters do
            return None
    # pydicom takes what is left of a file that was cut short for a whole one.
    is_other_object = header.sop_class in _KINDS or bool(header.modality)
    is_complete = pixels_follow or (is_other_object and header.sop_class != WHOLE_SLIDE_IMAGE)
    return header if is_complete else None


def header_of(dataset: Dataset) -> DicomHeader:
    """Return the header of a file, or of what a server states of an instance."""
    return DicomHeader(
        sop_class=_sop_class(dataset),
        modality=str(dataset.get("Modality", "")),
        series=str(dataset.get("SeriesInstanceUID", "")),
        flavour="".join(list(dataset.get("ImageType") or [])[2:3]),
        width=int(dataset.get("TotalPixelMatrixColumns") or 0),
        height=int(dataset.get("TotalPixelMatrixRows") or 0),
        spacing=_spacing(dataset),
    )


def _sop_class(dataset: Dataset) -> str:
    of_file = getattr(dataset, "file_meta", None) or {}
    return str(of_file.get("MediaStorageSOPClassUID") or dataset.get("SOPClassUID", ""))


def _spacing(dataset: Dataset) -> Spacing | None:
    """Return um across and down from mm down and across, as DICOM writes them."""
    for group in dataset.get("SharedFunctionalGroupsSequence") or []:
        for measures in group.get("PixelMeasuresSequence") or []:
            down, across = (1000 * float(side) for side in measures.PixelSpacing)
            usable = 0 < across < float("inf") and 0 < down < float("inf")
            return (across, down) if usable else None
    return None
