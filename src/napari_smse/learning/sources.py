"""Tables of labelled images, read into one kind of record."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from napari_smse.errors import SmseError

CLASSES: Final = ("benign", "malignant")
# Neither table states its scale. From crypts of 60-80 um measuring 55-75 px, and from
# squamous nuclei of 8-9 um measuring about 10 px.
COLON_MPP: Final = 1.1
ORAL_400X_MPP: Final = 0.85
# Coarsest and finest um/px of the bundled model.
MPP_RANGE: Final = (0.2, 0.6)


@dataclass(frozen=True)
class Record:
    """One labelled image.

    Attributes
    ----------
    path
        Of the image file.
    label
        Class index into `CLASSES`.
    case
        The unit to split by, unique over all sources.
    mpp
        Scale of the file, um/px.
    mpp_range
        Scales its pixels support, um/px, finest first.
    source
        Data set.
    stratum
        Part of the data set whose images look alike apart from the class
        (magnification, kind of copy); batches are balanced within it.
    """

    path: Path
    label: int
    case: str
    mpp: float
    mpp_range: tuple[float, float]
    source: str
    stratum: str


def read_breakhis(folder: Path) -> list[Record]:
    """Read the BreakHis part: a case is a numeric id, whatever its block letters."""
    return [_breakhis_record(folder, row) for row in _rows(folder)]


def read_colon(folder: Path) -> list[Record]:
    """Read EBHI-Seg; rows without a label (neoplasia, serrated adenoma) are left out."""
    return [
        Record(
            path=folder / row["path"],
            label=CLASSES.index(row["label"]),
            case=f"colon {row['case']}",
            mpp=COLON_MPP,
            mpp_range=(0.5, 0.6),
            source="colon",
            stratum="colon",
        )
        for row in _rows(folder)
        if row["label"]
    ]


def read_oral(folder: Path) -> list[Record]:
    """Read the oral mucosa images at 400x; those at 100x are too coarse (about 3.4 um/px)."""
    return [
        Record(
            path=folder / row["path"],
            label=CLASSES.index(row["label"]),
            case=f"oral {row['block']}",
            mpp=ORAL_400X_MPP,
            mpp_range=(0.45, 0.6),
            source="oral",
            stratum="oral 400x",
        )
        for row in _rows(folder)
        if row["magnification"] == "400x"
    ]


READERS: Final[dict[str, tuple[str, Callable[[Path], list[Record]]]]] = {
    "breakhis": ("breakhis", read_breakhis),
    "colon": ("colon_ebhi", read_colon),
    "oral": ("oral_oscc", read_oral),
}


def read_sources(data: Path, names: Iterable[str] = tuple(READERS)) -> list[Record]:
    """Read several sources from their folders under `data`."""
    records: list[Record] = []
    for name in names:
        folder, reader = READERS[name]
        records += reader(data / folder)
    return records


def count_by_class(records: Sequence[Record]) -> tuple[dict[str, int], dict[str, int]]:
    """Return images and cases by class name; a case with both classes counts in both."""
    images = {name: 0 for name in CLASSES}
    cases: dict[str, set[str]] = {name: set() for name in CLASSES}
    for record in records:
        images[CLASSES[record.label]] += 1
        cases[CLASSES[record.label]].add(record.case)
    return images, {name: len(found) for name, found in cases.items()}


def _breakhis_record(folder: Path, row: dict[str, str]) -> Record:
    digits = re.match(r"\d+", row["case"])
    if digits is None:
        raise SmseError(f"{folder / 'images.csv'} names a case without a number: {row['case']!r}.")
    copy = "copy" in row["source"]
    magnification = row["magnification"]
    mpp = 0.201 if copy else float(row["um_per_px"])
    return Record(
        path=folder / row["path"],
        label=CLASSES.index(row["label"]),
        case=f"breakhis {digits[0]}",
        mpp=mpp,
        mpp_range=_breakhis_range(magnification, copy),
        source="breakhis",
        stratum=f"breakhis {magnification}{' copy' if copy else ''}",
    )


def _breakhis_range(magnification: str, copy: bool) -> tuple[float, float]:
    """Return the scales between the real detail and a tile half filled by the image."""
    if copy:
        return 0.3, 0.4
    return {
        "40X": (0.45, 0.6),
        "100X": (0.2, 0.6),
        "200X": (0.2, 0.4),
        "400X": (0.2, 0.25),
    }[magnification]


def _rows(folder: Path) -> list[dict[str, str]]:
    table = folder / "images.csv"
    try:
        with table.open(newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))
    except FileNotFoundError as error:
        raise SmseError(f"{table} is missing: point --data at the data folder.") from error
