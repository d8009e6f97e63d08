"""Splits by case."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.learning.sources import read_breakhis, read_sources
from napari_smse.learning.splits import case_folds

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


def test_blocks_of_one_breakhis_case_stay_together(tmp_path: Path) -> None:
    header = "path,label,subtype,patient,case,magnification,um_per_px,source\n"
    patients = ["22549AB", "22549CD", "21998AB", "14134", "13413", "2523"]
    lines = [
        f"{p}.jpg,{'benign' if i % 2 else 'malignant'},A,{p},{p},100X,0.197,original\n"
        for i, p in enumerate(patients)
    ]
    (tmp_path / "images.csv").write_text(header + "".join(lines), encoding="utf-8")
    records = read_breakhis(tmp_path)
    assert records[0].case == records[1].case == "breakhis 22549"
    fold_of = case_folds([r.case for r in records], [r.label for r in records], 3)
    assert fold_of[0] == fold_of[1]


def test_real_tables_split_without_leaks(shared_data: Path) -> None:
    records = read_sources(shared_data)
    cases = [r.case for r in records]
    fold_of = case_folds(cases, [r.label for r in records], 5)
    for case in set(cases):
        assert len({int(f) for c, f in zip(cases, fold_of, strict=True) if c == case}) == 1
    assert len({r.case for r in records if r.source == "breakhis"}) == 52
    assert "breakhis 22549" in cases
    assert not any("22549A" in case for case in cases)
    for fold in range(5):
        assert {r.label for r, f in zip(records, fold_of, strict=True) if f == fold} == {0, 1}
