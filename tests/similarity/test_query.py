import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.errors import QueryError
from napari_smse.similarity import query as query_module
from napari_smse.similarity.query import MAX_REPRESENTATIVES, make_query, representatives


def on_sphere(seed, number, dim=6):
    points = np.random.default_rng(seed).normal(size=(number, dim))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def apart(a, b):
    """Distances of all to all, the slow way."""
    exact = a.astype(np.float64)[:, None] - b.astype(np.float64)[None]
    return np.sqrt((exact**2).sum(axis=2))


@given(st.integers(0, 1000), st.integers(1, 40))
def test_they_are_the_medoid_and_then_always_the_furthest(seed, number):
    tiles = on_sphere(seed, number)
    chosen = representatives(tiles)
    distances = apart(tiles, tiles)
    assert (distances**2).sum(axis=1)[chosen[0]] == pytest.approx(
        (distances**2).sum(axis=1).min(), abs=1e-4
    )
    for step in range(1, len(chosen)):
        away = distances[:, chosen[:step]].min(axis=1)
        assert away[chosen[step]] == pytest.approx(away.max(), abs=1e-3)
    assert len(chosen) == min(number, MAX_REPRESENTATIVES)
    assert len(set(chosen)) == len(chosen)


def test_tiles_that_are_the_same_need_one_representative():
    one, other = on_sphere(0, 2)
    rng = np.random.default_rng(1)
    tiles = np.repeat([one, other], 50, axis=0) + rng.normal(scale=1e-4, size=(100, 6))
    assert len(representatives(tiles.astype(np.float32))) == 2


def test_the_rare_kind_in_a_region_is_represented():
    common, rare = on_sphere(3, 2)
    tiles = np.concatenate([np.tile(common, (99, 1)), rare[None]])
    assert representatives(tiles).tolist() == [0, 99]


def test_the_same_tiles_make_the_same_query():
    tiles = on_sphere(5, 300)
    assert representatives(tiles).tolist() == representatives(tiles.copy()).tolist()


@given(st.integers(0, 1000), st.integers(1, 12), st.integers(0, 12), st.integers(0, 60))
def test_distances_are_those_of_the_slow_way(seed, like, unlike, number):
    tiles = on_sphere(seed, like + unlike + number)
    wanted, unwanted, others = np.split(tiles, [like, like + unlike])
    made = make_query(wanted, unwanted, "m")
    found = made.distances(others, "m")
    near = apart(others, made.like).min(axis=1)
    far = apart(others, made.unlike).min(axis=1, initial=np.inf)
    sure = np.abs(near - far) > 1e-4
    np.testing.assert_allclose(found[sure], np.where(near < far, near, np.inf)[sure], atol=2e-3)


def test_blocks_do_not_show(monkeypatch):
    tiles, examples = on_sphere(7, 1000), on_sphere(8, 5)
    made = make_query(examples, None, "m")
    whole = made.distances(tiles, "m")
    monkeypatch.setattr(query_module, "_ROWS", 64)
    np.testing.assert_allclose(made.distances(tiles, "m"), whole, atol=1e-6)


def test_a_tile_as_near_to_what_is_not_meant_is_not_found():
    (tile,) = on_sphere(9, 1)
    made = make_query(tile[None], tile[None], "m")
    assert np.isinf(made.distances(tile[None], "m")).all()


def test_an_empty_query_says_what_to_do():
    with pytest.raises(QueryError, match="nothing to look for: draw around"):
        make_query(on_sphere(0, 3)[:0], on_sphere(0, 3), "m")


def test_a_query_of_another_model_is_refused_by_naming_both():
    made = make_query(on_sphere(0, 3), None, "a" * 64)
    with pytest.raises(QueryError, match=r"aaaaaaaaaaaa.*bbbbbbbbbbbb"):
        made.distances(on_sphere(1, 3), "b" * 64)
