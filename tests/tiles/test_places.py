"""Which tiles show the same place."""

from __future__ import annotations

import numpy as np
import pytest

from napari_smse.tiles.places import one_per_place, overlaps, share_place

FINE = [(x, y, 100, 100) for y in (0, 100) for x in (0, 100)]
COARSE = [(0, 0, 200, 200), (200, 0, 200, 200)]


def test_of_two_scales_the_finest_stands_for_a_place() -> None:
    places = [*COARSE, *FINE]
    # The coarse tile over the four fine ones shows nothing else; the one beside them does.
    assert one_per_place(["a"] * 6, places).tolist() == [1, 2, 3, 4, 5]


def test_who_comes_first_can_be_said() -> None:
    places = [*COARSE, *FINE]
    assert one_per_place(["a"] * 6, places, range(6)).tolist() == [0, 1]


def test_other_slides_are_other_places_and_tiles_of_no_slide_are_all_taken() -> None:
    places = [COARSE[0], FINE[0]]
    assert one_per_place(["a", "b"], places).tolist() == [0, 1]
    assert one_per_place(["", ""], places).tolist() == [0, 1]
    assert one_per_place([], []).tolist() == []


@pytest.mark.parametrize(("step", "same"), [(100, False), (51, False), (50, False), (49, True)])
def test_neighbours_of_one_scale_are_the_same_place_from_half_a_tile_on(step, same) -> None:
    assert share_place((0, 0, 100, 100), [(step, 0, 100, 100)]).tolist() == [same]


def test_sharing_a_place_does_not_depend_on_who_asks() -> None:
    rng = np.random.default_rng(0)
    places = np.concatenate([rng.integers(0, 300, (60, 2)), rng.integers(1, 4, (60, 1)) * 64], 1)
    places = np.concatenate([places, places[:, 2:]], axis=1)
    # Tiles of one size: each lies in the other, or neither.
    table = np.array([share_place(one, places) for one in places])
    differ = places[:, 2][:, None] != places[:, 2][None]
    np.testing.assert_array_equal(table[differ], table.T[differ])


def test_many_tiles_are_what_a_slow_loop_finds() -> None:
    rng = np.random.default_rng(1)
    corner, edge = rng.integers(0, 4000, (150, 2)), rng.choice([112, 224], (150, 1))
    places = np.concatenate([corner, edge, edge], axis=1)
    kept: list[int] = []
    for row in np.argsort(edge[:, 0], kind="stable").tolist():
        if not any(share_place(places[row], [places[other]])[0] for other in kept):
            kept.append(row)
    assert one_per_place(["s"] * 150, places).tolist() == sorted(kept)
    assert len(kept) < 150


@pytest.mark.parametrize(("x", "expected"), [(-99, True), (-100, False), (99, True), (100, False)])
def test_overlap_is_a_shared_pixel(x, expected) -> None:
    assert overlaps((0, 0, 100, 100), [(x, 0, 100, 100)]).tolist() == [expected]
    assert overlaps((0, 0, 100, 100), [(0, x, 100, 100)]).tolist() == [expected]
