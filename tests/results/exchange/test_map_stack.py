"""Maps of all classes on one grid: placed as in the viewer, and halved without losing a cell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_smse.errors import OutputError
from napari_smse.results.exchange.map_stack import MapStack, call_maps, halved, map_stacks
from support.result_folders import AREA, write_results


def test_each_scale_has_maps_and_their_mean_too(tmp_path: Path) -> None:
    run = write_results(tmp_path / "run")
    fine, coarse, mean = map_stacks(run)
    assert [one.file_name for one in (fine, coarse, mean)] == ["20x", "10x", "mean"]
    for stack, scores in zip((fine, coarse), run.scales, strict=True):
        for number in range(2):
            np.testing.assert_array_equal(stack.values[number], scores.heat_map(number).values)
    both = np.stack([fine.values[1], np.kron(coarse.values[1], np.ones((2, 2)))[:20, :30]])
    scored = np.isfinite(both)
    total = np.where(scored, both, 0).sum(axis=0)
    expected = np.where(scored.any(axis=0), total / np.maximum(scored.sum(axis=0), 1), np.nan)
    np.testing.assert_allclose(mean.values[1], expected, rtol=1e-6)
    assert (fine.x, fine.y, fine.cell, fine.cell_um) == (AREA.x, AREA.y, 100, 25)
    assert fine.corner_um == (8, 24)
    assert fine.origin_um == (8 + 99 / 2 * 0.25, 24 + 99 / 2 * 0.25)


def test_lengths_are_told_without_what_floats_add_to_them() -> None:
    values = np.zeros((1, 2, 2), np.float32)
    stack = MapStack("20x", ("a",), values, 3.0, 300.0, 224 * (0.25 / 0.499), 0.499)
    assert stack.cell_um == 56
    assert stack.corner_um == (149.7, 1.497)
    assert stack.origin_um == (177.4505, 29.2475)


@given(
    arrays(
        np.float32,
        st.tuples(st.just(2), st.integers(1, 9), st.integers(1, 9)),
        elements=st.one_of(st.just(np.nan), st.floats(0, 1, width=32)),
    )
)
def test_a_coarser_cell_is_the_mean_of_what_was_scored(values: np.ndarray) -> None:
    made = halved(values)
    rows, columns = made.shape[1:]
    assert (rows, columns) == (-(-values.shape[1] // 2), -(-values.shape[2] // 2))
    for row in range(rows):
        for column in range(columns):
            four = values[1, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            scored = four[np.isfinite(four)]
            expected = scored.mean(dtype=np.float64) if len(scored) else np.nan
            np.testing.assert_allclose(made[1, row, column], expected, rtol=1e-6, atol=1e-30)


def test_levels_begin_at_the_same_corner_and_are_halved_down_to_a_tile() -> None:
    stack = MapStack("20x", ("a", "b"), np.zeros((2, 1, 1100), np.float32), 7, 9, 4, 0.5)
    levels = stack.pyramid()
    assert [one.values.shape for one in levels] == [
        (2, 1, 1100),
        (2, 1, 550),
        (2, 1, 275),
        (2, 1, 138),
    ]
    assert {(one.x, one.y) for one in levels} == {(7, 9)}
    assert [one.cell for one in levels] == [4, 8, 16, 32]


def test_bytes_are_zero_where_nothing_was_scored() -> None:
    stack = MapStack("20x", ("a",), np.array([[[0, 0.5, 1, np.nan]]], np.float32), 0, 0, 4, 0.5)
    assert stack.as_bytes().tolist() == [[[0, 128, 255, 0]]]


def test_a_cell_is_called_as_its_tile_is(tmp_path: Path) -> None:
    run = write_results(tmp_path / "run", classes=("a", "b", "c"))
    start = 0
    for calls, scores in zip(call_maps(run), run.scales, strict=True):
        named = run.table["call"].to_pylist()[start : start + len(scores.tiles)]
        start += len(named)
        found = calls.numbers[scores.tiles.rows, scores.tiles.columns]
        assert [calls.names[number - 1] for number in found] == named
        assert np.count_nonzero(calls.numbers) == len(named)


def test_where_tiles_overlap_what_covers_most_is_called(tmp_path: Path) -> None:
    run = write_results(tmp_path / "run", overlap=0.5, mpps=(0.5,))
    (calls,) = call_maps(run)
    np.testing.assert_array_equal(calls.numbers > 0, np.isfinite(map_stacks(run)[0].values[0]))
    tiles, scores = run.scales[0].tiles, run.scales[0].probability
    places = zip(tiles.rows.tolist(), tiles.columns.tolist(), strict=True)
    malignant = dict(zip(places, scores[:, 1] > 0.5, strict=True))
    for row, column in zip(*np.nonzero(calls.numbers), strict=True):
        over = [malignant.get((row - down, column - along)) for down in (0, 1) for along in (0, 1)]
        votes = [vote for vote in over if vote is not None]
        if 2 * sum(votes) != len(votes):
            assert calls.numbers[row, column] == 1 + (2 * sum(votes) > len(votes))


def test_without_tiles_maps_are_empty(tmp_path: Path) -> None:
    run = write_results(tmp_path / "run", tissue=0)
    assert all(np.isnan(one.values).all() for one in map_stacks(run))
    assert not any(one.numbers.any() for one in call_maps(run))


def test_without_classes_there_is_no_map(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="has no maps"):
        map_stacks(write_results(tmp_path / "run", classes=("tissue",)))


def test_scales_of_one_power_are_named_by_their_mpp(tmp_path: Path) -> None:
    run = write_results(tmp_path / "run", mpps=(0.5, 0.5001))
    assert [one.file_name for one in map_stacks(run)] == ["0.5um", "0.5001um", "mean"]
