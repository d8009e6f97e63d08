from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, box

from napari_smse.active_learning.query_strategy import (
    UnlabelledPool,
    covered_share,
    overlapping,
    select_tiles,
    uncertainty_of,
    unlabelled_pool,
)
from napari_smse.scoring.tile_table import TileTable
from napari_smse.slides import Region
from napari_smse.tiles import ScaleTiles, TileGrid, TileSpec


def unit(rng, number, dim=6):
    points = rng.normal(size=(number, dim))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def apart(number):
    """Places that do not overlap."""
    return np.array([[10 * i, 0, 10, 10] for i in range(number)], np.int32).reshape(-1, 4)


def candidates(embeddings, malignant, **changed):
    p = np.asarray(malignant, np.float32)
    number = len(p)
    usual = {
        "embeddings": np.asarray(embeddings, np.float32),
        "probability": np.stack([1 - p, p], axis=1),
        "places": apart(number),
        "is_open": np.ones(number, bool),
        "is_labelled": np.zeros(number, bool),
    }
    return UnlabelledPool(**{**usual, **changed})


def random_slide(seed, number=80):
    rng = np.random.default_rng(seed)
    return candidates(unit(rng, number), rng.uniform(size=number))


# -- uncertainty -----------------------------------------------------------------------


def test_two_classes_are_most_uncertain_at_one_half():
    p = np.array([0.0, 0.1, 0.5, 0.8, 1.0])
    found = uncertainty_of(np.stack([1 - p, p], axis=1))
    assert found[[0, 2, 4]] == pytest.approx([0, 1, 0])
    assert found[1] == pytest.approx(-(0.1 * np.log2(0.1) + 0.9 * np.log2(0.9)))
    assert found[3] > found[1]


def test_several_classes_go_by_the_margin_of_the_two_likeliest():
    found = uncertainty_of(np.array([[0.5, 0.3, 0.2], [0.4, 0.4, 0.2], [1.0, 0, 0]]))
    assert found == pytest.approx([0.8, 1.0, 0.0])


# -- which tiles may be chosen ---------------------------------------------------------


def test_the_share_of_a_tile_that_is_annotated():
    places = np.array([[0, 0, 10, 10], [10, 0, 10, 10], [40, 40, 10, 10]])
    # Two areas that overlap count once.
    areas = [box(0, 0, 15, 10), box(5, 0, 15, 10), MultiPolygon([box(100, 100, 110, 110)])]
    assert covered_share(places, areas) == pytest.approx([1.0, 0.5, 0.0])
    assert covered_share(places, []).tolist() == [0, 0, 0]


def scored(columns=4, rows=3, tissue=1.0):
    grid = TileGrid(TileSpec(64, 0.5, 0.5), Region(0, 0, 64 * columns, 64 * rows))
    row, column = np.divmod(np.arange(columns * rows, dtype=np.int32), columns)
    share = np.full(columns * rows, tissue, np.float32)
    number = columns * rows
    return TileTable(
        (ScaleTiles(grid, column.astype(np.int32), row.astype(np.int32), share),),
        unit(np.random.default_rng(0), number),
        np.full((number, 2), 0.5, np.float32),
        ("benign", "malignant"),
    )


def test_annotated_tiles_are_not_asked_for_again():
    # All of tile 0, half of tile 1, and a sixth of tile 4.
    found = unlabelled_pool(scored(), 0, [box(0, 0, 96, 64), box(0, 64, 64, 74)])
    assert np.flatnonzero(~found.is_open).tolist() == [0, 1]
    assert np.flatnonzero(found.is_labelled).tolist() == [0, 1]
    chosen = select_tiles([found], 12)
    assert sorted(one.row for one in chosen) == list(range(2, 12))


def test_a_tile_with_a_label_in_part_is_neither_asked_for_nor_learnt_from():
    found = unlabelled_pool(scored(), 0, [box(0, 0, 20, 64)])
    assert not found.is_open[0]
    assert not found.is_labelled[0]


def test_glass_is_not_asked_for():
    assert select_tiles([unlabelled_pool(scored(tissue=0.3), 0)], 5) == []


def test_tiles_that_were_corrected_by_hand_are_labelled():
    found = unlabelled_pool(scored(), 0).without_places(np.array([[64, 0, 64, 64]]))
    assert np.flatnonzero(found.is_labelled).tolist() == [1]
    assert np.flatnonzero(~found.is_open).tolist() == [1]


# -- the queue -------------------------------------------------------------------------


def test_with_nothing_labelled_the_most_uncertain_comes_first():
    slide = candidates(unit(np.random.default_rng(1), 40), np.linspace(0.01, 0.52, 40))
    first = select_tiles([slide], 1)[0]
    assert first.row == int(uncertainty_of(slide.probability).argmax())
    assert first.uncertainty == pytest.approx(1.0, abs=0.01)


def test_sure_tiles_wait_until_no_uncertain_one_is_left():
    malignant = np.where(np.arange(40) < 10, 0.5, 0.999)
    slide = candidates(unit(np.random.default_rng(2), 40), malignant)
    chosen = [choice.row for choice in select_tiles([slide], 10)]
    assert sorted(chosen) == list(range(10))
    more = [one.row for one in select_tiles([slide], 40)]
    assert sorted(more) == list(range(40))


def test_tiles_alike_are_asked_for_once():
    """Nine uncertain tiles are copies of one, the tenth is another: it comes second."""
    rng = np.random.default_rng(3)
    few = unit(rng, 2)
    embeddings = np.concatenate([np.tile(few[:1], (9, 1)), few[1:], unit(rng, 70)])
    malignant = np.concatenate([np.full(10, 0.5), np.full(70, 0.99)])
    chosen = select_tiles([candidates(embeddings, malignant)], 2)
    assert {chosen[0].row < 9, chosen[1].row < 9} == {True, False}


def test_what_is_labelled_on_one_slide_is_not_asked_for_on_another():
    axes = np.eye(4, dtype=np.float32)
    known = candidates(axes[:1], [0.5], is_open=np.array([False]), is_labelled=np.array([True]))
    other = candidates(axes[[0, 0, 1, 0]], [0.5] * 4)
    assert select_tiles([known, other], 1)[0].row == 2


def test_slides_take_turns_until_one_has_no_more():
    small, large = random_slide(4, 3), random_slide(5, 60)
    chosen = [choice.slide for choice in select_tiles([large, small], 10)]
    assert chosen[:6] == [0, 1, 0, 1, 0, 1]
    assert chosen[6:] == [0] * 4


def test_tiles_that_overlap_a_chosen_one_are_passed_over():
    rng = np.random.default_rng(6)
    places = np.array([[5 * i, 0, 10, 10] for i in range(40)], np.int32)
    slide = candidates(unit(rng, 40), rng.uniform(size=40), places=places)
    chosen = [choice.row for choice in select_tiles([slide], 40)]
    assert np.diff(sorted(chosen)).min() >= 2


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 999),
    sizes=st.lists(st.integers(0, 30), min_size=1, max_size=4),
    count=st.integers(0, 50),
)
def test_a_queue_is_the_same_every_time_and_holds_only_open_tiles_once(seed, sizes, count):
    rng = np.random.default_rng(seed)
    slides = []
    for number in sizes:
        is_open = rng.uniform(size=number) < 0.7
        slides.append(
            candidates(
                unit(rng, number),
                rng.uniform(size=number),
                is_open=is_open,
                is_labelled=~is_open,
            )
        )
    chosen = select_tiles(slides, count)
    assert chosen == select_tiles(slides, count)
    assert len(set((one.slide, one.row) for one in chosen)) == len(chosen)
    assert all(slides[one.slide].is_open[one.row] for one in chosen)
    assert len(chosen) == min(count, sum(int(slide.is_open.sum()) for slide in slides))


@given(st.lists(st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(1, 9)] * 2), min_size=1))
def test_overlap_is_sharing_a_pixel(places):
    found = overlapping(np.array(places), np.array(places[0]))

    def pixels(place):
        x, y, width, height = place
        return {(i, j) for i in range(x, x + width) for j in range(y, y + height)}

    assert found.tolist() == [bool(pixels(one) & pixels(places[0])) for one in places]
