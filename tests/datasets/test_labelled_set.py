"""Labelled sets: counting, choosing and joining them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from napari_smse.datasets.labelled_set import Skipped, join_sets
from napari_smse.errors import DataError
from support.datasets import image, labelled_set


def test_sets_of_several_sources_become_one() -> None:
    first = labelled_set([image("1", 0, source="a"), image("2", 1, source="a")])
    second = labelled_set([image("1", 1, source="b")])
    second = replace(second, skipped=(Skipped(Path("x"), "is missing"),))
    joined = join_sets([first, second])
    assert joined.images == first.images + second.images
    # Case 1 of one source is not case 1 of the other.
    assert joined.cases == {"a 1", "a 2", "b 1"}
    assert list(joined.sources) == ["a", "b"]
    assert joined.skipped == second.skipped
    assert joined.select_sources(["b"]).images == second.images


def test_sets_that_do_not_fit_together() -> None:
    first = labelled_set([image("1", 0, source="a")])
    other = labelled_set([image("1", 0, source="b")], ("fat", "tumour"))
    with pytest.raises(DataError, match="a has benign, malignant, but b has fat, tumour"):
        join_sets([first, other])
    with pytest.raises(DataError, match="Two sources are called 'a'"):
        join_sets([first, first])
    with pytest.raises(DataError, match="no source"):
        join_sets([])


def test_what_was_skipped_is_counted_by_reason() -> None:
    reasons = ["is missing", "has no label", "has no label"]
    found = replace(
        labelled_set([]), skipped=tuple(Skipped(Path("x"), reason) for reason in reasons)
    )
    assert list(found.count_skipped().items()) == [("has no label", 2), ("is missing", 1)]


def test_what_cannot_be_trained_on() -> None:
    with pytest.raises(DataError, match=r"No image of class malignant .*1 images, 0 skipped"):
        labelled_set([image("1", 0)]).require_cases()
    with pytest.raises(DataError, match="All images come from one case"):
        labelled_set([image("1", 0), image("1", 1)]).require_cases()
    labelled_set([image("1", 0), image("2", 1)]).require_cases()
