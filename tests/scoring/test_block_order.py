"""What somebody looks at is read first, and every block once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.scoring import TileScores, Viewport
from napari_smse.scoring.block_order import BlockOrder, visible
from napari_smse.slides import Region
from napari_smse.tiles import ReadBlock, TilePlan

EDGE = 100
ROW = [Region(number * EDGE, 0, EDGE, EDGE) for number in range(6)]
"""Blocks side by side."""

edges = st.integers(1, 400)
regions = st.builds(Region, st.integers(0, 1000), st.integers(0, 1000), edges, edges)


def plan_of(regions: list[Region]) -> TilePlan:
    """As much of a plan as its order needs."""
    blocks = tuple(ReadBlock(region, 0.5, ((0, 0, 1),)) for region in regions)
    return TilePlan((), blocks, cast("Any", None))


def rest_of(order: BlockOrder) -> list[int]:
    return list(iter(order.next, None))


def order_of_row(viewport: Viewport | None = None) -> BlockOrder:
    return BlockOrder(plan_of(ROW), range(len(ROW)), viewport)


def test_while_nobody_looks_blocks_come_in_the_plans_order() -> None:
    assert rest_of(order_of_row()) == rest_of(order_of_row(Viewport())) == [0, 1, 2, 3, 4, 5]


def test_only_what_is_to_do_is_handed_out() -> None:
    order = BlockOrder(plan_of(ROW), [4, 1, 3])
    assert len(order) == 3
    assert rest_of(order) == [4, 1, 3]
    assert len(order) == 0


@pytest.mark.parametrize("row", [ROW, []])
def test_nothing_to_do_is_no_error(row: list[Region]) -> None:
    assert BlockOrder(plan_of(row), [], Viewport(ROW[0])).next() is None


def test_blocks_come_outward_from_the_middle_of_what_is_looked_at() -> None:
    # Its centre is right of the middle of block 3, so that 4 is nearer than 2.
    order = order_of_row(Viewport(Region(340, 20, 40, 40)))
    assert rest_of(order) == [3, 4, 2, 5, 1, 0]


@pytest.mark.parametrize("upright", [True, False])
def test_a_block_is_as_far_as_its_centre(upright: bool) -> None:
    def along(start: int, length: int) -> Region:
        return Region(0, start, 100, length) if upright else Region(start, 0, length, 100)

    # Its near edge is closer to the middle of the view, at 150, than that of the short one.
    long, short = along(100, 300), along(60, 20)
    order = BlockOrder(plan_of([long, short]), [0, 1], Viewport(along(65, 170)))
    assert rest_of(order) == [1, 0]


def test_what_is_seen_in_part_comes_before_what_is_nearer_but_unseen() -> None:
    view = Region(0, 0, 100, 100)
    beside, large = Region(105, 40, 20, 20), Region(90, 0, 600, 600)
    order = BlockOrder(plan_of([beside, large]), [0, 1], Viewport(view))
    assert rest_of(order) == [1, 0]


def test_the_order_follows_the_view() -> None:
    viewport = Viewport(ROW[5])
    order = order_of_row(viewport)
    assert [order.next(), order.next()] == [5, 4]
    viewport.show(ROW[1])
    assert order.next() == 1
    viewport.show(None)
    assert rest_of(order) == [0, 2, 3]


def test_results_do_not_change_the_order() -> None:
    order = order_of_row(Viewport(ROW[3]))
    order.update([TileScores(0, np.array([0]), np.array([[0.5, 0.5]], np.float32))])
    assert order.next() == 3


def test_only_what_shares_pixels_with_a_view_is_seen() -> None:
    boxes = np.array([(one.x, one.y, one.right, one.bottom) for one in ROW], dtype=float)
    view = Region(100, 50, 101, 10)
    assert visible(boxes, view).tolist() == [False, True, True, False, False, False]
    assert not visible(boxes, None).any()


@pytest.mark.parametrize(
    ("x", "y", "is_seen"),
    [
        *[(40, 50, False), (41, 50, True), (60, 50, False), (59, 50, True)],
        *[(50, 40, False), (50, 41, True), (50, 60, False), (50, 59, True)],
    ],
)
def test_a_view_that_only_touches_a_block_does_not_see_it(x: int, y: int, is_seen: bool) -> None:
    box = np.array([[50.0, 50.0, 60.0, 60.0]])
    assert visible(box, Region(x, y, 10, 10)).tolist() == [is_seen]


@given(st.data(), st.lists(regions, min_size=1, max_size=12))
def test_every_block_is_handed_out_once_and_the_nearest_first(
    data: st.DataObject, regions_: list[Region]
) -> None:
    numbers = range(len(regions_))
    left = data.draw(st.lists(st.sampled_from(numbers), unique=True), label="to do")
    viewport = Viewport()
    order = BlockOrder(plan_of(regions_), left, viewport)
    while left:
        assert len(order) == len(left)
        view = data.draw(st.none() | regions, label="looked at")
        viewport.show(view)
        number = order.next()
        if view is None:
            assert number == left[0]
        else:
            far = {one: distance(regions_[one], view) for one in left}
            assert far[cast("int", number)] == min(far.values())
        left.remove(cast("int", number))
    assert order.next() is order.next() is None


def distance(block: Region, view: Region) -> tuple[bool, int]:
    """Whether a block is out of view, and the square of how far its centre is, in half pixels."""
    apart = (
        block.right <= view.x
        or view.right <= block.x
        or block.bottom <= view.y
        or view.bottom <= block.y
    )
    across = (2 * block.x + block.width) - (2 * view.x + view.width)
    down = (2 * block.y + block.height) - (2 * view.y + view.height)
    return apart, across**2 + down**2


def test_a_view_that_moves_in_another_thread_loses_and_repeats_no_block() -> None:
    row = [Region(number * EDGE, 0, EDGE, EDGE) for number in range(300)]
    viewport = Viewport()
    order = BlockOrder(plan_of(row), range(len(row)), viewport)

    def look_around() -> None:
        for number in range(2000):
            viewport.show(row[number * 37 % len(row)] if number % 5 else None)

    with ThreadPoolExecutor(1) as viewer:
        looked = viewer.submit(look_around)
        numbers = rest_of(order)
        looked.result(timeout=20)
    assert sorted(numbers) == list(range(len(row)))
    viewport.show(row[7])
    assert viewport.region == row[7]
