"""Labels of cases: read as people write them, and refused where they contradict each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_smse.errors import DataError
from napari_smse.workflows.report.labels import read_labels


def table(folder: Path, text: str) -> Path:
    path = folder / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_labels_by_case(tmp_path: Path) -> None:
    found = read_labels(table(tmp_path, "Case;Label\nP1;benign\n P2 ;malignant\n"))
    assert found.by_case == {"P1": "benign", "P2": "malignant"}
    assert found.warnings == ()
    assert found.case_of("slide", "P9") == "P9"


def test_labels_by_slide_are_of_the_case_that_the_name_suggests(tmp_path: Path) -> None:
    text = "slide,label\nS19-12345_A1_HE.svs,benign\nS19-12345_A2_HE,benign\nother.tif,malignant\n"
    found = read_labels(table(tmp_path, text))
    assert found.by_case == {"S19-12345": "benign", "other": "malignant"}
    assert found.case_of("S19-12345_A1_HE", "?") == "S19-12345"


def test_slides_may_be_named_by_paths_of_any_system(tmp_path: Path) -> None:
    rows = "slide,label\nC:\\in\\a.svs,benign\n/in/b.svs,malignant\n"
    assert read_labels(table(tmp_path, rows)).by_case == {"a": "benign", "b": "malignant"}


def test_a_table_may_say_of_which_case_a_slide_is(tmp_path: Path) -> None:
    found = read_labels(table(tmp_path, "slide,case,label\na.svs,P1,benign\nb.svs,P1,benign\n"))
    assert found.by_case == {"P1": "benign"}
    assert [found.case_of(name, "?") for name in ("a", "b", "c")] == ["P1", "P1", "?"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("case,label\nP1,benign\nP1,malignant\n", "the case P1 two labels, benign and malignant"),
        ("slide,case,label\na,P1,benign\na,P2,benign\n", "the slide a two cases, P1 and P2"),
        ("case\nP1\n", "lacks the column label"),
        ("name,label\nP1,benign\n", "lacks the column case or slide"),
        ("case,label\nP1,\n", "has no label of any case"),
    ],
)
def test_contradictions_and_gaps_are_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_labels(table(tmp_path, text))


def test_repeated_and_empty_rows_are_told(tmp_path: Path) -> None:
    found = read_labels(table(tmp_path, "case,label\nP1,benign\nP1,benign\nP2,\n,benign\n"))
    assert found.by_case == {"P1": "benign"}
    assert found.warnings == (
        "labels.csv names cases more than once, with one label: P1.",
        "labels.csv has 2 rows without a case or without a label: they are left out.",
    )


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv cannot be read"):
        read_labels(tmp_path / "none.csv")
