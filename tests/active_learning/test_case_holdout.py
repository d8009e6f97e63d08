from __future__ import annotations

import numpy as np
import pytest

from napari_smse.active_learning.case_holdout import held_out, held_out_aside


def rng(seed=0):
    return np.random.default_rng(seed)


def test_half_of_each_class_is_held_out():
    labels = np.repeat([0, 0, 0, 0, 1, 1, 1], 2)
    cases = np.repeat(list("abcdefg"), 2)
    for seed in range(5):
        held = held_out(labels, cases, rng(seed))
        assert len(set(held) & set("abcd")) == 2
        assert len(set(held) & set("efg")) == 1


@pytest.mark.parametrize("aside", [False, True])
def test_a_case_that_is_alone_is_held_out_now_and_then(aside):
    labels, cases = np.array([0, 0, 1, 1, 1]), np.array(["a", "a", "a", "b", "b"])
    along = np.arange(5.0)
    found = [
        held_out_aside(labels, cases, along, rng(seed))
        if aside
        else held_out(labels, cases, rng(seed))
        for seed in range(40)
    ]
    assert {tuple(one) for one in found} == {(), ("a",), ("b",), ("a", "b")}


def test_cases_to_one_side_have_half_of_the_tiles():
    """A large region in the middle, and small ones around."""
    cases = np.array(["large"] * 6 + ["left", "right", "far left", "far right"])
    along = np.array([0.0] * 6 + [-5, 5, -9, 9])
    labels = np.zeros(10, int)
    held = held_out_aside(labels, cases, along, rng())
    assert set(held) == {"left", "far left"}
    assert set(held_out_aside(labels, cases, -along, rng())) == {"right", "far right"}


def test_each_side_has_a_case_however_large_one_is():
    cases = np.array(["large"] * 30 + ["small"])
    for along in (np.arange(31.0), -np.arange(31.0)):
        assert len(held_out_aside(np.zeros(31, int), cases, along, rng())) == 1
