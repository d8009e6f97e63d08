import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.similarity import neighbours
from napari_smse.similarity.neighbours import (
    distance_of,
    nearest,
    nearest_distance,
    similarity_within,
)
from support.exemplar_banks import unit


def slow(query, among, k, forbidden=()):
    """Rows of the k nearest, nearest first; of those alike, the first."""
    rows = [row for row in range(len(among)) if row not in forbidden]
    return sorted(rows, key=lambda row: (-float(np.dot(query, among[row])), row))[:k]


# Few points of small whole numbers before scaling: many lie at exactly the same place.
clouds = st.integers(0, 10_000).map(
    lambda seed: unit(np.add(np.random.default_rng(seed).integers(-1, 2, (13, 3)), (0.5, 0, 0)))
)


@given(among=clouds, k=st.integers(0, 15), cells=st.sampled_from([1, 13, 40, 4_000_000]))
def test_the_nearest_are_those_of_a_slow_loop(among, k, cells):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "_CELLS", cells)
        queries = among[:5]
        found = nearest(queries, among, k)
    assert found.rows.shape == found.distances.shape == (5, min(k, 13))
    similar = queries @ among.T
    for query in range(5):
        wanted = slow(queries[query], among, k)
        # Products of the same numbers may differ in the last bit, and with them the order.
        np.testing.assert_allclose(
            similar[query, found.rows[query]], similar[query, wanted], atol=1e-6
        )
        exact = np.linalg.norm(among[found.rows[query]] - queries[query], axis=1)
        np.testing.assert_allclose(found.distances[query], exact, atol=2e-3)
        assert len(set(found.rows[query])) == min(k, 13)


def test_of_those_alike_the_first_are_taken():
    among = unit([[1, 0]] * 20 + [[0, 1]] * 5)
    found = nearest(unit([[1, 0]]), among, 7)
    assert found.rows.tolist() == [[0, 1, 2, 3, 4, 5, 6]]
    found = nearest(unit([[0, 1]]), among, 7)
    assert found.rows.tolist() == [[20, 21, 22, 23, 24, 0, 1]]


@given(among=clouds, seed=st.integers(0, 99))
def test_what_is_excluded_is_no_neighbour(among, seed):
    excluded = np.random.default_rng(seed).random((4, 13)) < 0.6
    found = nearest(among[:4], among, 6, excluded=excluded)
    for query in range(4):
        taken = np.isfinite(found.distances[query])
        assert taken.sum() == min(6, (~excluded[query]).sum())
        assert not excluded[query, found.rows[query, taken]].any()
        assert np.all(np.diff(found.distances[query, taken]) >= 0)


def test_without_anything_to_search_there_is_nothing():
    none = np.empty((0, 4), np.float32)
    assert nearest(unit(np.eye(4)), none, 3).rows.shape == (4, 0)
    assert nearest(none, unit(np.eye(4)), 3).rows.shape == (0, 3)
    assert np.isinf(nearest_distance(unit(np.eye(4)), none)).all()


@given(among=clouds, k=st.integers(1, 20))
def test_the_distance_is_that_of_the_kth(among, k):
    exact = np.linalg.norm(among[:, np.newaxis] - among, axis=2)
    wanted = np.sort(exact, axis=1)[:, min(k, 13) - 1]
    np.testing.assert_allclose(nearest_distance(among, among, k), wanted, atol=2e-3)


@given(distance=st.floats(0, 2))
def test_distance_and_similarity_say_the_same(distance):
    similarity = np.array([similarity_within(distance)])
    assert distance_of(similarity)[0] == pytest.approx(distance, abs=1e-6)


def test_rounding_makes_no_distance_of_nothing():
    assert distance_of(np.array([1.0000001, -1.0]))[0] == 0.0
    assert np.isinf(distance_of(np.array([-np.inf])))[0]
