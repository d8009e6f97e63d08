"""The case of a slide, guessed from its name, and stated in its annotations."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import box

from napari_smse.annotations import (
    Annotation,
    AnnotationSet,
    read_annotations,
    write_annotations,
)
from napari_smse.annotations.case_id import guess_case, joined_cases, tidy_case

names = st.text(st.sampled_from("AaBb019 -_.é&()"), max_size=24) | st.from_regex(
    r"[A-Z]{0,2}\d{2}[-_]\d{3,6}([-_. ](A1|B|2|HE|s3|level 2))*", fullmatch=True
)


@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("TCGA-A1-A0SB-01Z-00-DX1.f3b2", "TCGA-A1-A0SB"),
        ("GTEX-1117F-0126", "GTEX-1117F"),
        ("C3L-00001-21", "C3L-00001"),
        ("S19-12345_A1_HE", "S19-12345"),
        ("S19-12345-1-2", "S19-12345"),
        ("B-2019-123-2B", "B-2019-123"),
        ("patient_012_node_3", "patient_012"),
        ("case 3 block A", "case 3"),
        # Numbers that tell cases apart, not slides of one.
        ("CMU-1", "CMU-1"),
        ("CMU-1-Small-Region", "CMU-1-Small-Region"),
        ("tumor_001", "tumor_001"),
        ("S19-12", "S19-12"),
        ("2024-03-12", "2024-03-12"),
        ("1.2.826.0.1.3680043.9.7433.99.3.1", "1.2.826.0.1.3680043.9.7433.99.3.1"),
        ("slide", "slide"),
        ("", ""),
    ],
)
def test_what_a_laboratory_puts_behind_the_case_is_left_out(name, case):
    assert guess_case(name) == case


@given(names)
def test_a_guess_begins_the_name_and_guesses_itself(name):
    case = guess_case(name)
    assert name.startswith(case)
    assert bool(case) == bool(name)
    assert guess_case(case) == case


@given(st.integers(10, 99), st.integers(100, 99_999), st.sampled_from(["A1", "B", "s2", "L3_HE"]))
def test_the_slides_of_an_accession_are_of_one_case(year, number, block):
    case = f"H{year}-{number}"
    assert guess_case(f"{case}_{block}") == guess_case(case) == case


@given(st.text(max_size=20))
def test_what_is_typed_is_tidied_once(text):
    assert tidy_case(tidy_case(text)) == tidy_case(text)


@given(names, names)
def test_a_case_comes_back_from_a_file(tmp_path_factory, name, typed):
    path = tmp_path_factory.mktemp("case") / "a.geojson"
    case = tidy_case(typed) or guess_case(name)
    written = AnnotationSet((Annotation("tumour", box(0, 0, 9, 9)),), case=case)
    write_annotations(path, written)
    read = read_annotations(path)
    assert read.case == case
    write_annotations(path, replace(read, annotations=()))
    assert read_annotations(path).case == case


def test_a_file_without_a_case_is_as_it_was(tmp_path):
    path = tmp_path / "a.geojson"
    write_annotations(path, AnnotationSet((Annotation("tumour", box(0, 0, 9, 9)),)))
    assert "napari_smse" not in json.loads(path.read_text())
    assert read_annotations(path).case == ""


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 5))))
def test_cases_that_share_something_are_one(shared):
    joined = joined_cases(shared)
    for case, what in shared:
        assert joined[joined[case]] == joined[case]
        for other, same in shared:
            if what == same:
                assert joined[case] == joined[other]


def test_cases_that_share_nothing_stay_apart():
    assert joined_cases([("a", 1), ("b", 2), ("c", 1)]) == {"a": "a", "b": "b", "c": "a"}
