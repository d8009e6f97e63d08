"""Whole regions held out of one slide."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.datasets.spatial_split import _gap, hold_out_regions
from napari_smse.errors import DataError
from support.annotated_slides import EDGE, block, field


def test_whole_regions_are_held_out_and_nothing_lies_near_them() -> None:
    images = [*block(0, 0, 0), *block(1000, 0, 0), *block(0, 1000, 1), *block(1000, 1000, 1)]
    training, held_out = hold_out_regions(images)
    assert sorted(training + held_out) == list(range(16))
    assert {images[i].label for i in held_out} == {0, 1}
    assert {i // 4 for i in held_out}.isdisjoint({i // 4 for i in training})


def test_regions_that_were_drawn_apart_stay_apart_though_their_fields_touch() -> None:
    near = [
        replace(field(EDGE * i, 2000 * label, label), drawn=f"{label} {i // 5}")
        for label in (0, 1)
        for i in range(10)
    ]
    training, held_out = hold_out_regions(near)
    assert {near[i].drawn for i in held_out}.isdisjoint({near[i].drawn for i in training})
    # One field of each class lies beside a held-out one.
    assert len(near) - len(training) - len(held_out) == 2


def test_neighbours_of_what_is_held_out_are_dropped() -> None:
    """Two classes side by side: the one to learn from loses its fields at the border."""
    left, right = block(0, 0, 0, 4), block(400, 0, 1, 4)
    far = [*block(5000, 0, 0), *block(9000, 0, 1)]
    images = [*left, *right, *far]
    for seed in range(6):
        training, held_out = hold_out_regions(images, seed=seed)
        for i in training:
            for j in held_out:
                assert _gap(images[i].region, images[j].region) >= EDGE
    lost = [len(images) - sum(map(len, hold_out_regions(images, seed=s))) for s in range(6)]
    assert max(lost) > 0


@pytest.mark.parametrize("labels", [(0, 0, 1), (0, 1)])
def test_one_region_of_a_class_is_too_few(labels: tuple[int, ...]) -> None:
    images = [one for i, label in enumerate(labels) for one in block(1000 * i, 0, label)]
    with pytest.raises(DataError, match=r"Class .*b has one region only.*draw at least two"):
        hold_out_regions(images, classes=("a", "b"))


def test_regions_that_touch_all_over_leave_nothing() -> None:
    images = [field(EDGE * i * 3 // 2, 0, i % 2) for i in range(4)]
    for seed in range(4):
        with pytest.raises(DataError, match="further apart"):
            hold_out_regions(images, seed=seed)


@given(
    st.lists(
        st.tuples(st.integers(0, 8), st.integers(0, 8), st.sampled_from([0, 1])),
        min_size=2,
        max_size=30,
        unique_by=lambda one: one[:2],
    ),
    st.integers(0, 5),
)
def test_both_sides_are_apart_and_hold_all_classes(
    places: list[tuple[int, int, int]], seed: int
) -> None:
    images = [field(3 * EDGE * x // 2, 3 * EDGE * y // 2, label) for x, y, label in places]
    try:
        training, held_out = hold_out_regions(images, seed=seed)
    except DataError:
        return
    labels = {one.label for one in images}
    assert {images[i].label for i in training} == {images[i].label for i in held_out} == labels
    assert not set(training) & set(held_out)
    for i in training:
        assert all(_gap(images[i].region, images[j].region) >= EDGE for j in held_out)
