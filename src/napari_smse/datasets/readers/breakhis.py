"""BreakHis, in any nesting of folders.

The name of a file has its metadata: ``SOB_M_DC-14-2523-400-001.png`` is a malignant ductal
carcinoma of 2014, patient 2523, at 400X, the first of its series.

References
----------
Spanhol, Oliveira, Petitjean, Heutte: A dataset for breast cancer histopathological image
classification, IEEE TBME 2016.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from napari_smse.datasets.curation import Candidate, Reading, usable_images
from napari_smse.datasets.image_header import files_below, image_size
from napari_smse.datasets.labelled_set import LabelledSet, Skipped, Source
from napari_smse.errors import DataError

logger = logging.getLogger(__name__)

CLASSES: Final = ("benign", "malignant")
MPP: Final = {"40X": 0.492, "100X": 0.197, "200X": 0.098, "400X": 0.049}
"""um/px by magnification, from the optics: a camera of 6.5 um behind a relay of 3.3 times and
objectives of 4, 10, 20 and 40 times."""

SOURCE: Final = Source(
    name="breakhis",
    title="BreakHis",
    organ="breast",
    scanner="Olympus BX-50 microscope with Samsung SCC-131AN camera",
    licence="CC BY 4.0 (as stated by kaiko-ai/eva)",
    citation="Spanhol et al., IEEE TBME 2016",
    scale_note="µm/px from the optics of the microscope.",
)

_NAME = re.compile(
    r"SOB_(?P<group>[BM])_(?P<subtype>[A-Z]+)-(?P<year>\d+)-(?P<number>\d+)(?P<block>[A-Z]*)"
    r"-(?P<magnification>40|100|200|400)-(?P<sequence>\d+)",
    re.IGNORECASE,
)
_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff"})
_FRAME = (700, 460)
# Frames of 700 x 456 px are part of the original.
_SAME_SHAPE = 0.03
_RESIZED = (0.25, 2.0)
_FILED_TWICE = "13412"


@dataclass(frozen=True)
class BreakHisName:
    """The parts of a BreakHis file name.

    Attributes
    ----------
    label
        "benign" or "malignant".
    subtype
        A adenosis, F fibroadenoma, PT phyllodes, TA tubular adenoma; DC ductal, LC lobular,
        MC mucinous, PC papillary carcinoma.
    year
        Year of the slide.
    number
        Number of the case, without the letters of its blocks.
    block
        Letters of the block, empty if there are none.
    magnification
        "40X", "100X", "200X" or "400X".
    sequence
        Number of the image in its series.
    """

    label: str
    subtype: str
    year: str
    number: str
    block: str
    magnification: str
    sequence: str

    @property
    def mpp(self) -> float:
        """Scale of an original frame, um/px."""
        return MPP[self.magnification]


def parse_name(name: str) -> BreakHisName | None:
    """Return the parts of a BreakHis file name, or None for another name."""
    path = Path(name)
    match = _NAME.fullmatch(path.stem)
    if match is None or path.suffix.lower() not in _SUFFIXES:
        return None
    return BreakHisName(
        label=CLASSES[match["group"].upper() == "M"],
        subtype=match["subtype"].upper(),
        year=match["year"],
        number=match["number"],
        block=match["block"].upper(),
        magnification=f"{match['magnification']}X",
        sequence=match["sequence"],
    )


def holds_breakhis(folder: Path) -> bool:
    """Tell whether a folder holds, at any depth, a file named as BreakHis' are."""
    return any(parse_name(path.name) for path in files_below(folder))


def read_breakhis(folder: Path, reading: Reading | None = None) -> LabelledSet:
    """Read BreakHis from a folder of any nesting.

    A case is the number without the letters of its blocks. Patient 13412 is filed twice,
    pixel by pixel the same, and only its images filed as ductal carcinoma are taken. Images
    that are whole frames made smaller or larger have their um/px to match; those of another
    shape are taken for crops. Files of other names are skipped.

    Parameters
    ----------
    folder
        Searched at any depth.
    reading
        How to read it; its `mpp` is not used, as the magnification gives it.
    """
    reading = reading or Reading(SOURCE)
    if reading.mpp is not None:
        logger.warning(
            "%s: a µm/px of %g was given but BreakHis has one for each magnification; "
            "it is not used",
            folder,
            reading.mpp,
        )
        reading = replace(reading, mpp=None)
    candidates: list[Candidate] = []
    skipped: list[Skipped] = []
    for path in files_below(folder):
        named = parse_name(path.name)
        if named is None:
            skipped.append(Skipped(path, "is not named as BreakHis' images are"))
        else:
            candidates.append(_candidate(path, named))
    unique, repeated = drop_duplicates(candidates)
    _warn_of_other_sizes(folder, unique)
    return usable_images(unique, folder, reading, classes=CLASSES, skipped=[*skipped, *repeated])


def drop_duplicates(candidates: Sequence[Candidate]) -> tuple[list[Candidate], list[Skipped]]:
    """Leave out the second filing (LC) of patient 13412 where the first (DC) is there.

    The second result says so once, for the first image left out.
    """
    subtypes = {candidate.subtype for candidate in candidates if candidate.case == _FILED_TWICE}
    if not {"DC", "LC"} <= subtypes:
        return list(candidates), []
    again = [
        candidate
        for candidate in candidates
        if candidate.case == _FILED_TWICE and candidate.subtype == "LC"
    ]
    reason = (
        f"and {len(again) - 1} more: patient {_FILED_TWICE} is filed twice, as DC and as LC, "
        "with the same images; DC is kept"
    )
    logger.info("%s %s", again[0].path, reason)
    left_out = {id(candidate) for candidate in again}
    remaining = [candidate for candidate in candidates if id(candidate) not in left_out]
    return remaining, [Skipped(again[0].path, reason)]


def copy_detail(kind: str, magnification: str) -> float | None:
    """Return the real detail of a kind of copy, um/px; None for originals.

    A "224px copy" once was the whole frame squeezed to 224 px across, whatever its size
    now: what is finer than that is lost.
    """
    match = re.search(r"(\d+)\s*px", kind)
    if match is None or magnification not in MPP or not int(match[1]):
        return None
    return MPP[magnification] * _FRAME[0] / int(match[1])


def mpp_of(named: BreakHisName, size: tuple[int, int]) -> float:
    """Return the um/px of a picture of so many px across and down, a resized frame or a crop."""
    return named.mpp / _resized(size)


def _candidate(path: Path, named: BreakHisName) -> Candidate:
    columns = {
        "label": named.label,
        "subtype": named.subtype,
        "magnification": named.magnification,
        "case": named.number,
    }
    try:
        size = image_size(path)
    except DataError as error:
        size, problem = None, str(error)
    else:
        problem = ""
    return Candidate(
        path=path,
        label=named.label,
        case=named.number,
        mpp=named.mpp if size is None else mpp_of(named, size),
        problem=problem,
        magnification=named.magnification,
        subtype=named.subtype,
        columns=columns,
        size=size,
    )


def _resized(size: tuple[int, int]) -> float:
    """Return by how much a whole frame was resized, 1 for what is no whole frame."""
    across, down = size[0] / _FRAME[0], size[1] / _FRAME[1]
    is_frame = abs(across - down) <= _SAME_SHAPE * across
    same = round(across, 2) == 1
    return across if is_frame and not same and _RESIZED[0] <= across <= _RESIZED[1] else 1.0


def _warn_of_other_sizes(folder: Path, candidates: Sequence[Candidate]) -> None:
    sizes = list(_other_sizes(candidates))
    if sizes:
        resized = sum(_resized(size) != 1 for size in sizes)
        logger.warning(
            "%s: %d images are not 700 x 460 px: %d are taken for resized frames, %d for crops",
            folder,
            len(sizes),
            resized,
            len(sizes) - resized,
        )


def _other_sizes(candidates: Sequence[Candidate]) -> Iterator[tuple[int, int]]:
    for candidate in candidates:
        if candidate.size is not None and (
            candidate.size[0] != _FRAME[0] or abs(candidate.size[1] / _FRAME[1] - 1) > _SAME_SHAPE
        ):
            yield candidate.size
