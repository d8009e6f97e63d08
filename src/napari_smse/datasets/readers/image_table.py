"""A folder with a table of its images, ``images.csv``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from napari_smse.datasets.curation import Candidate, Reading, usable_images
from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.datasets.readers.breakhis import SOURCE as BREAKHIS
from napari_smse.datasets.readers.breakhis import (
    BreakHisName,
    copy_detail,
    drop_duplicates,
    parse_name,
)
from napari_smse.datasets.readers.csv_rows import CsvRows, read_csv_rows
from napari_smse.errors import DataError

TABLE: Final = "images.csv"
_REQUIRED = ("path", "label", "case|block")
_ORIGINAL = frozenset({"", "original"})


def read_image_table(folder: Path, reading: Reading) -> LabelledSet:
    """Read the images that a folder's ``images.csv`` lists.

    Columns: ``path`` (relative to the folder), ``label``, ``case`` (or ``block``) and
    ``um_per_px``; known if there are ``magnification``, ``subtype``, ``organ``,
    ``detail_um_per_px`` (real detail, where it is coarser than the pixels) and ``source``
    (kind of copy: images of different kinds are balanced apart). Any more are allowed.
    Rows of BreakHis images, known by their names, have the case's number without the letters
    of its blocks.

    Parameters
    ----------
    folder
        Folder of the table.
    reading
        How to read it; its `mpp` counts for rows that have no um/px.

    Raises
    ------
    DataError
        The table cannot be read, lacks a column, or has no row.
    """
    table = read_csv_rows(folder / TABLE, _REQUIRED)
    if not table.rows:
        raise DataError(f"{table.path} lists no image: add a row for each.")
    _require_scale(table, reading)
    candidates = [_candidate(folder, row) for row in table.rows]
    unique, repeated = drop_duplicates(candidates)
    return usable_images(unique, folder, _described(reading, table), skipped=repeated)


def _require_scale(table: CsvRows, reading: Reading) -> None:
    has_scale = "um_per_px" in table.columns or reading.mpp is not None
    if not has_scale and not any(parse_name(Path(row["path"]).name) for row in table.rows):
        raise DataError(
            f"{table.path} lacks the column um_per_px (it has: {', '.join(table.columns)}): "
            "add it, or state one µm/px for all images with --source-mpp."
        )


def _described(reading: Reading, table: CsvRows) -> Reading:
    """Describe a source that the caller does not, as far as the table describes it."""
    source = reading.source
    if source.organ != "not stated":
        return reading
    if all(parse_name(Path(row["path"]).name) for row in table.rows):
        return replace(reading, source=replace(BREAKHIS, name=source.name))
    organs = sorted({row.get("organ", "") for row in table.rows} - {""})
    organ = ", ".join(organs) or source.organ
    return replace(reading, source=replace(source, organ=organ))


def _candidate(folder: Path, row: Mapping[str, str]) -> Candidate:
    path = _path(folder, row["path"])
    named = parse_name(path.name)
    magnification = row.get("magnification", "") or (named.magnification if named else "")
    kind = row.get("source", "").lower()
    problem = ""
    try:
        mpp, detail = _number(row, "um_per_px"), _number(row, "detail_um_per_px")
    except DataError as error:
        mpp = detail = None
        problem = str(error)
    if named is not None:
        mpp = mpp or named.mpp
        detail = detail or copy_detail(kind, magnification)
    case = _case(row, named)
    if not row["path"]:
        problem = "is a row without a path"
    elif not case:
        problem = problem or "has no case"
    return Candidate(
        path=path,
        label=row["label"],
        case=case,
        mpp=mpp,
        detail=detail,
        problem=problem,
        kind=_stratum_kind(kind),
        magnification=magnification,
        subtype=row.get("subtype", "") or (named.subtype if named else ""),
        columns=row,
        elsewhere=Path(row["path"]).is_absolute(),
    )


def _path(folder: Path, written: str) -> Path:
    path = folder / written
    # Tables written on Windows.
    return folder / written.replace("\\", "/") if "\\" in written and not path.exists() else path


def _stratum_kind(kind: str) -> str:
    if "copy" in kind:
        return "copy"
    return "" if kind in _ORIGINAL else kind


def _case(row: Mapping[str, str], named: BreakHisName | None) -> str:
    """Return the case; of BreakHis images the number, whatever letters its block has."""
    case = row.get("case") or row.get("block", "")
    if named is None:
        return case
    number = re.match(r"\d+", case)
    return number[0] if number else named.number


def _number(row: Mapping[str, str], column: str) -> float | None:
    """Return a scale, None where there is none; a decimal comma will do."""
    text = row.get(column, "")
    if not text:
        return None
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise DataError(f"has the {column} {text!r}, which is no scale")
    return value
