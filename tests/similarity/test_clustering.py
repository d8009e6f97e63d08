import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smse.errors import QueryError
from napari_smse.similarity.clustering import find_clusters


def on_sphere(seed, number, width=5):
    made = np.random.default_rng(seed).normal(size=(number, width)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def lumps(seed, sizes, width=8):
    """Groups of embeddings far apart, and which each is of, in any order."""
    rng = np.random.default_rng(seed)
    group = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    cloud = np.eye(width, dtype=np.float32)[group]
    cloud = cloud + rng.normal(scale=0.03, size=cloud.shape).astype(np.float32)
    return cloud / np.linalg.norm(cloud, axis=1, keepdims=True), group


CLOUDS = st.builds(on_sphere, st.integers(0, 99), st.integers(1, 60))


@given(CLOUDS, st.integers(1, 12))
def test_every_tile_is_of_the_centre_it_is_nearest_to(cloud, k):
    found = find_clusters(cloud, k)
    assert found.labels.shape == (len(cloud),)
    similar = cloud @ found.centres.T
    own = similar[np.arange(len(cloud)), found.labels]
    assert (own >= similar.max(axis=1) - 1e-6).all()


@given(CLOUDS, st.integers(1, 12))
def test_groups_are_numbered_by_size_and_none_is_empty(cloud, k):
    found = find_clusters(cloud, k)
    sizes = np.bincount(found.labels, minlength=len(found))
    assert len(found) <= min(k, len(cloud))
    assert sizes.min() > 0
    assert (np.diff(sizes) <= 0).all()


@given(CLOUDS, st.integers(1, 12))
def test_the_same_tiles_give_the_same_groups(cloud, k):
    one, other = find_clusters(cloud, k), find_clusters(cloud.copy(), k)
    np.testing.assert_array_equal(one.labels, other.labels)


@given(CLOUDS, st.integers(1, 12))
def test_centres_are_the_middles_of_their_groups(cloud, k):
    found = find_clusters(cloud, k)
    np.testing.assert_allclose(np.linalg.norm(found.centres, axis=1), 1, atol=1e-5)
    for number, centre in enumerate(found.centres):
        middle = cloud[found.labels == number].sum(axis=0)
        if np.linalg.norm(middle) > 1e-3:
            np.testing.assert_allclose(centre, middle / np.linalg.norm(middle), atol=1e-4)


@given(st.integers(0, 99))
def test_groups_that_lie_apart_are_found(seed):
    cloud, group = lumps(seed, [40, 30, 20, 10])
    found = find_clusters(cloud, 4)
    # The largest comes first, so that the numbers are those they were made with.
    np.testing.assert_array_equal(found.labels, group)


def test_a_sample_decides_where_centres_lie_and_all_belong_to_one():
    cloud, group = lumps(0, [4000, 3000, 2000])
    np.testing.assert_array_equal(find_clusters(cloud, 3, sample=50).labels, group)


def test_alike_tiles_are_one_group_however_many_are_asked_for():
    found = find_clusters(np.tile(on_sphere(0, 1), (20, 1)), 8)
    assert len(found) == 1
    np.testing.assert_array_equal(found.labels, 0)


def test_no_tiles_no_groups():
    with pytest.raises(QueryError, match="score a slide first"):
        find_clusters(np.empty((0, 4), np.float32), 3)
