"""Labels of cases, from a table that a person wrote."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from napari_smse.annotations.case_id import guess_case, tidy_case
from napari_smse.datasets.readers.csv_rows import read_csv_rows
from napari_smse.errors import DataError
from napari_smse.slides.identity import slide_name, text_path


@dataclass(frozen=True)
class CohortLabels:
    """What cases are, by somebody who knows.

    Attributes
    ----------
    path
        The table.
    by_case
        Label of each case.
    case_by_slide
        Case of each slide that the table names, by the slide's name without suffix.
    warnings
        What a reader must know, one line each.
    """

    path: Path
    by_case: dict[str, str]
    case_by_slide: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def case_of(self, slide: str, otherwise: str) -> str:
        """Return the case of a slide: as the table says, else the one that is known."""
        return self.case_by_slide.get(slide, otherwise)


def read_labels(path: Path) -> CohortLabels:
    """Read labels of cases or slides.

    Parameters
    ----------
    path
        CSV with the columns ``label``, and ``case`` or ``slide`` or both. A slide is named by its
        file, with or without suffix; one without a case is of the case that its name suggests.

    Raises
    ------
    DataError
        It cannot be read, lacks a column, or gives a case two labels or a slide two cases.
    """
    table = read_csv_rows(path, ("case|slide", "label"))
    labels: dict[str, str] = {}
    slides: dict[str, str] = {}
    repeated, empty = [], 0
    for row in table.rows:
        slide = slide_name(text_path(row["slide"])) if row.get("slide") else ""
        case = tidy_case(row.get("case", "")) or guess_case(slide)
        label = row["label"]
        if not case or not label:
            empty += 1
            continue
        if slide:
            _set(slides, slide, case, f"{path} gives the slide {slide} two cases")
        if case in labels and not slide:
            repeated.append(case)
        _set(labels, case, label, f"{path} gives the case {case} two labels")
    if not labels:
        raise DataError(f"{path} has no label of any case: fill in the column label.")
    return CohortLabels(path, labels, slides, tuple(_warnings(path, repeated, empty)))


def _set(values: dict[str, str], key: str, value: str, problem: str) -> None:
    """Take note of a value; one that contradicts an earlier one is refused."""
    if values.setdefault(key, value).casefold() != value.casefold():
        raise DataError(f"{problem}, {values[key]} and {value}: keep one.")


def _warnings(path: Path, repeated: list[str], empty: int) -> Iterable[str]:
    if repeated:
        names = ", ".join(dict.fromkeys(repeated))
        yield f"{path.name} names cases more than once, with one label: {names}."
    if empty:
        yield f"{path.name} has {empty} rows without a case or without a label: they are left out."
