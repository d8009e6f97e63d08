from __future__ import annotations

import numpy as np
import pytest

from napari_smse.errors import QueryError
from napari_smse.similarity.label_efficiency import _auc, label_efficiency


def tiles(seed=0, cases=12, each=30, rare=3):
    """Mostly easy tiles of two classes, and a few of a kind that the model doubts."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(cases) % 2, each)
    hard = np.tile(np.arange(each) < rare, cases)
    points = rng.normal(scale=0.35, size=(cases * each, 6))
    points[np.arange(len(labels)), labels] += 1
    # The doubted ones of class 1 lie apart from the other ones, nearer to class 0.
    odd = hard & (labels == 1)
    points[odd, 1] -= 1
    points[odd, 2] += 1.5
    embeddings = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    p = np.where(hard, 0.5 + rng.normal(scale=0.02, size=len(labels)), 0.02 + 0.96 * labels)
    names = [f"case {i // each}" for i in range(len(labels))]
    return embeddings, labels, names, np.stack([1 - p, p], axis=1)


def test_more_labels_teach_more():
    found = label_efficiency(*tiles(), budgets=(2, 60), splits=4, draws=4)
    for curve in (found.queue, found.random):
        assert curve.accuracy.shape == curve.auc.shape == (4, 2)
        assert curve.auc[:, 1].mean() > curve.auc[:, 0].mean() - 0.02
    assert found.random.auc[:, 1].mean() > 0.9
    assert found.budgets.tolist() == [2, 60]


def test_the_same_seed_gives_the_same_curve():
    one, other = (label_efficiency(*tiles(), budgets=(4,), splits=2, draws=2) for _ in range(2))
    assert one.queue.auc.tolist() == other.queue.auc.tolist()
    assert one.random.accuracy.tolist() == other.random.accuracy.tolist()


def test_held_out_cases_teach_nothing():
    """Each case has a place of its own, so that only its own tiles could tell its class."""
    rng = np.random.default_rng(1)
    embeddings = np.repeat(np.eye(16, dtype=np.float32), 10, axis=0)
    labels = np.repeat(rng.permutation(np.arange(16) % 2), 10)
    cases = np.repeat([f"case {i}" for i in range(16)], 10).tolist()
    found = label_efficiency(
        embeddings, labels, cases, np.full((160, 2), 0.5), budgets=(80,), splits=6, draws=1
    )
    assert found.queue.auc.mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [0, 0, 0, 1]])
def test_what_cannot_be_split_by_case_is_refused(labels):
    cases = ["a", "b", "c", "d"]
    with pytest.raises(QueryError, match="two classes of two cases"):
        label_efficiency(np.eye(4, dtype=np.float32), labels, cases, np.full((4, 2), 0.5))


def test_auc_counts_pairs():
    positive = np.array([True, False, True, False, True])
    score = np.array([0.9, 0.2, 0.2, 0.1, 0.5])
    pairs = [(a > b) + (a == b) / 2 for a in score[positive] for b in score[~positive]]
    assert _auc(positive, score) == pytest.approx(np.mean(pairs))
    assert np.isnan(_auc(np.ones(3, bool), np.zeros(3)))
