"""Tables of labelled images, read into one kind of record."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from napari_smse.errors import DataError
from napari_smse.learning.labelled_set import LabelledImage

CLASSES: Final = ("benign", "malignant")
# Neither table states its scale. From crypts of 60-80 um measuring 55-75 px, and from
# squamous nuclei of 8-9 um measuring about 10 px.
COLON_MPP: Final = 1.1
ORAL_400X_MPP: Final = 0.85
# Coarsest and finest um/px of the bundled model.
MPP_RANGE: Final = (0.2, 0.6)


def read_breakhis(folder: Path) -> list[LabelledImage]:
    """Read the BreakHis part: a case is a numeric id, whatever its block letters."""
    return [_breakhis_record(folder, row) for row in _rows(folder)]


def read_colon(folder: Path) -> list[LabelledImage]:
    """Read EBHI-Seg; rows without a label (neoplasia, serrated adenoma) are left out."""
    return [
        LabelledImage(
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


def read_oral(folder: Path) -> list[LabelledImage]:
    """Read the oral mucosa images at 400x; those at 100x are too coarse (about 3.4 um/px)."""
    return [
        LabelledImage(
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


READERS: Final[dict[str, tuple[str, Callable[[Path], list[LabelledImage]]]]] = {
    "breakhis": ("breakhis", read_breakhis),
    "colon": ("colon_ebhi", read_colon),
    "oral": ("oral_oscc", read_oral),
}


def read_sources(data: Path, names: Iterable[str] = tuple(READERS)) -> list[LabelledImage]:
    """Read several sources from their folders under `data`."""
    records: list[LabelledImage] = []
    for name in names:
        folder, reader = READERS[name]
        records += reader(data / folder)
    return records


def _breakhis_record(folder: Path, row: dict[str, str]) -> LabelledImage:
    digits = re.match(r"\d+", row["case"])
    if digits is None:
        raise DataError(f"{folder / 'images.csv'} names a case without a number: {row['case']!r}.")
    copy = "copy" in row["source"]
    magnification = row["magnification"]
    mpp = 0.201 if copy else float(row["um_per_px"])
    return LabelledImage(
        path=folder / row["path"],
        label=CLASSES.index(row["label"]),
        case=f"breakhis {digits[0]}",
        mpp=mpp,
        mpp_range=_breakhis_range(magnification, copy),
        source="breakhis",
        subtype=row["subtype"],
        magnification=magnification,
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
        raise DataError(f"{table} is missing: point --data at the data folder.") from error
