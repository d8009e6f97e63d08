from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_smse.active_learning.label_issues import find_label_issues


def cloud(rng, centre, number, spread=0.15):
    points = np.asarray(centre, float) + rng.normal(scale=spread, size=(number, len(centre)))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def two_classes(seed=0, regions=4, each=12):
    """Two clouds, each in several regions."""
    rng = np.random.default_rng(seed)
    embeddings = np.concatenate(
        [cloud(rng, [1, 0, 0, 0], regions * each), cloud(rng, [0, 1, 0, 0], regions * each)]
    )
    labels = np.repeat([0, 1], regions * each)
    groups = [f"{label} {i % regions}" for i, label in enumerate(labels)]
    return embeddings, labels, groups


def slow_score(embeddings, labels, groups, k):
    """The formula, tile by tile."""
    found = []
    for one in range(len(labels)):
        off = np.linalg.norm(embeddings.astype(float) - embeddings[one].astype(float), axis=1)
        near = [i for i in np.argsort(off, kind="stable") if groups[i] != groups[one]][:k]
        may_vote = [i for i in range(len(labels)) if groups[i] != groups[one]]
        number = np.array([sum(labels[j] == labels[i] for j in may_vote) for i in near])
        weight = 1 / (number * np.maximum(off[near], 0.05))
        found.append(weight[labels[near] != labels[one]].sum() / weight.sum())
    return found


def test_wrong_labels_come_first():
    embeddings, labels, groups = two_classes()
    wrong = [3, 20, 60]
    labels[wrong] = 1 - labels[wrong]
    found = find_label_issues(embeddings, labels, groups)
    assert set(found.order[:3].tolist()) == set(wrong)
    assert found.suggested[wrong].tolist() == (1 - labels[wrong]).tolist()
    assert (found.score[wrong] > 0.8).all()


def test_right_labels_are_not_doubted():
    found = find_label_issues(*two_classes())
    assert len(found.order) == 0
    assert found.score.max() < 0.5


def test_the_score_is_the_weighted_share_of_other_classes():
    rng = np.random.default_rng(1)
    embeddings = cloud(rng, [1, 1, 0, 0], 60, spread=0.6)
    labels = rng.integers(2, size=60)
    groups = [f"{label} {rng.integers(3)}" for label in labels]
    found = find_label_issues(embeddings, labels, groups, k=7)
    assert found.score == pytest.approx(slow_score(embeddings, labels, groups, 7), abs=1e-3)
    assert (np.diff(found.score[found.order]) <= 0).all()


def test_a_region_labelled_wrong_as_a_whole_is_doubted_as_a_whole():
    embeddings, labels, groups = two_classes()
    whole = [i for i, group in enumerate(groups) if group == "0 1"]
    labels[whole] = 1
    # More neighbours than the region has tiles.
    found = find_label_issues(embeddings, labels, groups, k=36)
    assert set(found.order.tolist()) == set(whole)


def test_a_class_that_is_drawn_a_lot_does_not_outvote_one_drawn_little():
    """All tiles vote, as there are so few: by number the small class would lose everywhere."""
    rng = np.random.default_rng(3)
    embeddings = np.concatenate([cloud(rng, [1, 0, 0], 30), cloud(rng, [0, 1, 0], 4)])
    labels = np.repeat([0, 1], [30, 4])
    groups = [f"{label} {i % 2}" for i, label in enumerate(labels)]
    assert len(find_label_issues(embeddings, labels, groups, k=34).order) == 0


def test_a_class_of_one_region_is_left_out_and_doubts_nobody():
    embeddings, labels, groups = two_classes()
    rng = np.random.default_rng(2)
    # In the middle of class 0, so that it would doubt all of it.
    embeddings = np.concatenate([embeddings, cloud(rng, [1, 0, 0, 0], 50, spread=0.01)])
    labels = np.concatenate([labels, np.full(50, 2)])
    found = find_label_issues(embeddings, labels, [*groups, *["2 0"] * 50])
    assert np.isnan(found.score[-50:]).all()
    assert len(found.order) == 0


def test_one_class_has_nothing_to_be_told_from():
    embeddings, labels, groups = two_classes()
    found = find_label_issues(embeddings[:48], labels[:48], groups[:48])
    assert np.isnan(found.score).all()
    assert found.suggested.tolist() == labels[:48].tolist()


def test_nothing_labelled_is_nothing_doubted():
    found = find_label_issues(np.empty((0, 4), np.float32), [], [])
    assert len(found.score) == len(found.order) == 0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 20))
def test_the_order_of_the_tiles_changes_nothing(seed, k):
    rng = np.random.default_rng(seed)
    embeddings = cloud(rng, [1, 1, 0], 40, spread=1.0)
    labels = rng.integers(3, size=40)
    groups = [f"{label} {rng.integers(2)}" for label in labels]
    order = rng.permutation(40)
    one = find_label_issues(embeddings, labels, groups, k=k)
    other = find_label_issues(embeddings[order], labels[order], [groups[i] for i in order], k=k)
    assert other.score == pytest.approx(one.score[order], abs=1e-4, nan_ok=True)
