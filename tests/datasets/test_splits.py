"""Splits by case."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.datasets.labelled_set import LabelledImage
from napari_smse.datasets.loading import read_training_set
from napari_smse.datasets.splits import (
    case_folds,
    grouped_folds,
    hold_out,
    shared_cases,
    validation_cases,
)
from napari_smse.errors import DataError
from research.bundled import SOURCES
from support.datasets import image, labelled_set

images = st.lists(st.tuples(st.integers(0, 25), st.integers(0, 1)), min_size=30, max_size=200)


@given(images, st.integers(2, 5), st.integers(0, 9))
def test_no_case_lies_on_both_sides(rows: list[tuple[int, int]], folds: int, seed: int) -> None:
    cases, labels = [str(case) for case, _ in rows], [label for _, label in rows]
    if len(set(cases)) < folds:
        with pytest.raises(ValueError, match="cannot be split"):
            case_folds(cases, labels, folds, seed)
        return
    fold_of = case_folds(cases, labels, folds, seed)
    assert set(fold_of) <= set(range(folds))
    for fold in range(folds):
        inside = {case for case, f in zip(cases, fold_of, strict=True) if f == fold}
        outside = {case for case, f in zip(cases, fold_of, strict=True) if f != fold}
        assert not inside & outside


@given(st.integers(5, 12), st.integers(5, 30), st.integers(0, 9))
def test_each_fold_gets_its_share_of_each_class(benign: int, malignant: int, seed: int) -> None:
    kinds = [0] * benign + [1] * malignant
    cases = [f"case {i}" for i in range(len(kinds)) for _ in range(1 + i % 4)]
    labels = [kind for i, kind in enumerate(kinds) for _ in range(1 + i % 4)]
    fold_of = case_folds(cases, labels, 5, seed)
    for kind, total in enumerate((benign, malignant)):
        dealt = {(c, f) for c, k, f in zip(cases, labels, fold_of, strict=True) if k == kind}
        counts = [sum(f == fold for _, f in dealt) for fold in range(5)]
        assert max(counts) - min(counts) <= 1
        assert sum(counts) == total


def test_splits_are_the_same_every_time() -> None:
    cases = [str(i // 3) for i in range(60)]
    labels = [i // 3 % 2 for i in range(60)]
    assert np.array_equal(case_folds(cases, labels, 5, 3), case_folds(cases, labels, 5, 3))
    assert not np.array_equal(case_folds(cases, labels, 5, 3), case_folds(cases, labels, 5, 4))


def test_real_tables_split_without_leaks(shared_data: Path) -> None:
    images = read_training_set(SOURCES, base=shared_data).images
    cases = [image.case for image in images]
    fold_of = case_folds(cases, [image.label for image in images], 5)
    for case in set(cases):
        assert len({int(f) for c, f in zip(cases, fold_of, strict=True) if c == case}) == 1
    assert "breakhis 22549" in cases
    assert not any("22549A" in case for case in cases)
    for fold in range(5):
        assert {i.label for i, f in zip(images, fold_of, strict=True) if f == fold} == {0, 1}


# Blocks of one BreakHis case share its number; readers make that the case.
PATIENTS = [
    "22549AB",
    "22549CD",
    "22549G",
    "21998AB",
    "21998EF",
    "16184",
    "16184CD",
    "2523",
    "9133",
]


def of_patients(rows: list[tuple[str, int, str]]) -> list[LabelledImage]:
    return [
        image(
            patient.rstrip("ABCDEFG"),
            label,
            f"SOB_{'BM'[label]}_X-14-{patient}-100-{i:03}.png",
            "100X",
            source,
        )
        for i, (patient, label, source) in enumerate(rows)
    ]


patients = st.lists(
    st.tuples(st.sampled_from(PATIENTS), st.integers(0, 1), st.sampled_from(["here", "there"])),
    min_size=12,
    max_size=80,
).map(of_patients)


def no_case_on_both_sides(made: list[LabelledImage], first: list[int], second: list[int]) -> bool:
    """Whether neither a case nor a number before block letters is on both sides."""
    numbers = [
        {(made[i].source, made[i].path.name.split("-")[2].rstrip("ABCDEFG")) for i in side}
        for side in (first, second)
    ]
    return not {made[i].case for i in first} & {made[i].case for i in second} and not (
        numbers[0] & numbers[1]
    )


@given(patients, st.integers(2, 5), st.integers(0, 9))
def test_grouped_folds_test_each_image_once_and_split_no_blocks(
    made: list[LabelledImage], folds: int, seed: int
) -> None:
    if len({one.case for one in made}) < folds:
        with pytest.raises(DataError, match="fewer folds"):
            grouped_folds(made, folds, seed)
        return
    divided = grouped_folds(made, folds, seed)
    assert sorted(i for fold in divided for i in fold.test) == list(range(len(made)))
    for fold in divided:
        assert no_case_on_both_sides(made, fold.training.tolist(), fold.test.tolist())
        assert sorted([*fold.training, *fold.test]) == list(range(len(made)))


@given(patients, st.floats(0, 0.99), st.integers(0, 9))
def test_validation_holds_out_whole_cases_and_never_all_of_a_kind(
    made: list[LabelledImage], share: float, seed: int
) -> None:
    training, validation = hold_out(made, range(len(made)), share, seed)
    assert sorted(training + validation) == list(range(len(made)))
    assert no_case_on_both_sides(made, training, validation)
    assert {made[i].label for i in training} == {one.label for one in made}
    assert bool(validation) == (share > 0 and bool(validation_cases(made, 0.2, seed)))


def test_validation_takes_its_share_of_each_class_of_each_source() -> None:
    made = [
        image(f"{label}{case}", label, source=source)
        for source in ("here", "there")
        for label in (0, 1)
        for case in range(10)
    ]
    chosen = validation_cases(made, 0.2, seed=1)
    for source in ("here", "there"):
        for label in (0, 1):
            held = {one.case for one in made if one.source == source and one.label == label}
            assert len(held & chosen) == 2
    assert chosen != validation_cases(made, 0.2, seed=2)
    assert chosen == validation_cases(made[::-1], 0.2, seed=1)


def test_the_only_case_of_a_class_stays_in_training() -> None:
    made = [image("b", 0), *(image(f"m{i}", 1) for i in range(5))]
    chosen = validation_cases(made, 0.9, seed=0)
    assert "made up b" not in chosen
    assert len(chosen) == 4


@pytest.mark.parametrize("share", [-0.1, 1.0, 3.0])
def test_an_impossible_share_is_an_error(share: float) -> None:
    with pytest.raises(DataError, match="validation share"):
        validation_cases([image("a", 0)], share)


def test_grouped_folds_deal_out_each_source() -> None:
    made = [
        image(str(case), case % 2, source=source)
        for source in ("here", "there")
        for case in range(12)
    ]
    for fold in grouped_folds(made, 3):
        tested = [made[i] for i in fold.test]
        for source in ("here", "there"):
            assert [one.label for one in tested if one.source == source].count(1) == 2


def test_shared_cases_are_named() -> None:
    made = labelled_set([image("a", 0), image("b", 1), image("a", 0)]).images
    assert shared_cases(made, [0, 1], [2]) == ["made up a"]
    assert shared_cases(made, [0], [1]) == []
