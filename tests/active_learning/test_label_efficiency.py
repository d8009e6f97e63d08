from __future__ import annotations

import numpy as np
import pytest

from napari_smse.active_learning.label_efficiency import (
    LabelledTiles,
    _in_queue_order,
    _Splits,
    label_efficiency,
    label_efficiency_of,
)
from napari_smse.errors import QueryError
from napari_smse.progress import Progress
from support.tasks import run_and_record


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


def labelled(embeddings, labels, cases, **more):
    p = np.full((len(labels), 2), 0.5)
    return LabelledTiles(np.asarray(embeddings, np.float32), np.asarray(labels), cases, p, **more)


def test_it_says_how_far_it_is_and_stops_when_told():
    running = label_efficiency_of(LabelledTiles(*tiles()), budgets=(2, 4), splits=3, draws=1)
    assert next(running) == Progress(1, 3)
    assert next(running) == Progress(2, 3)
    running.close()
    task = label_efficiency_of(LabelledTiles(*tiles()), budgets=(2, 4), splits=3, draws=1)
    seen, found = run_and_record(task)
    assert seen[-1] == Progress(3, 3)
    assert found.queue.accuracy.shape == (3, 2)


def test_budgets_end_where_labels_do():
    embeddings, labels, cases, p = tiles(cases=4, each=5)
    found = label_efficiency(embeddings, labels, cases, p, budgets=(2, 8, 16, 64), splits=3)
    # Of four cases of five tiles, two are learnt from.
    assert found.budgets.tolist() == [2, 8]
    assert found.random.accuracy.shape == (3, 2)
    with pytest.raises(QueryError, match="label more"):
        label_efficiency(embeddings, labels, cases, p, budgets=(11,), splits=1)


def test_cases_of_both_classes_are_on_both_sides():
    """Each of two slides has mostly one class, so that holding out one of each would leave none."""
    rng = np.random.default_rng(0)
    labels = np.array([0] * 20 + [1] * 6 + [1] * 20 + [0] * 6)
    points = rng.normal(scale=0.1, size=(52, 4))
    points[np.arange(52), labels] += 1
    cases = ["a"] * 26 + ["b"] * 26
    found = label_efficiency(points, labels, cases, np.full((52, 2), 0.5), budgets=(26,), splits=8)
    assert found.queue.accuracy == pytest.approx(1.0)


def test_classes_that_no_split_has_on_both_sides_are_refused():
    labels, cases = [0, 0, 1, 1, 2, 2], ["a", "b", "b", "c", "a", "c"]
    with pytest.raises(QueryError, match="label each class in more places"):
        list(label_efficiency_of(labelled(np.eye(6), labels, cases), budgets=(1,)))


def split_of_a_dense_slide(slides):
    """A tile every edge, each a region, the classes side by side in stripes."""
    places = np.array([[i // 12, i % 12] for i in range(144)], float)
    labels = (places[:, 0] // 3 % 2).astype(int)
    regions = [f"region {i}" for i in range(144)]
    made = labelled(np.ones((144, 2)), labels, regions, slides=slides, places=places)
    pool, test = _Splits(made, np.random.default_rng(0))._split()
    off = np.abs(places[pool][:, None] - places[test][None, :]).max(axis=2)
    return labels, pool, test, off


def test_nothing_is_learnt_from_beside_a_held_out_tile():
    labels, pool, test, off = split_of_a_dense_slide(["one"] * 144)
    assert off.min() >= 2
    assert set(labels[pool]) == set(labels[test]) == {0, 1}
    # To one side of the slide: most of the other half is left to learn from.
    assert len(test) == 72
    assert len(pool) > 36


def test_tiles_of_other_slides_are_never_beside_each_other():
    *_, pool, test, off = split_of_a_dense_slide([f"slide {i}" for i in range(144)])
    assert len(pool) + len(test) == 144
    assert off.min() == 1


def test_asking_for_a_few_at_a_time_asks_for_the_doubted_first():
    embeddings, labels, _, p = tiles(rare=2)
    doubted = np.abs(p[:, 1] - 0.5) < 0.2
    slides = np.array(["all"] * len(labels))
    order = _in_queue_order(embeddings, p, slides, 48, at_once=4)
    assert len(set(order.tolist())) == 48
    assert doubted[order[:4]].sum() > doubted.mean() * 4
    assert len(_in_queue_order(embeddings[:9], p[:9], slides[:9], 9, at_once=4)) == 9
