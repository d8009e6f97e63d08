from __future__ import annotations

import numpy as np
import pytest

from napari_smse.errors import QueryError
from napari_smse.progress import Progress
from napari_smse.similarity.batch_effect import (
    BatchEffect,
    BeforeAndAfter,
    NeighbourAccuracy,
    batch_effect,
    before_and_after,
)
from support.tasks import run_and_record


def tiles(by_slide, by_class, slides=4, each=60, seed=0):
    """Noisy embeddings that depend on slide and class by so much; both classes on each slide."""
    rng = np.random.default_rng(seed)
    slide = np.repeat(np.arange(slides), each)
    of_class = np.arange(slides * each) % 2
    points = rng.normal(scale=0.3, size=(slides * each, 12))
    points[np.arange(len(slide)), slide] += by_slide
    points[np.arange(len(slide)), 8 + of_class] += by_class
    embeddings = points / np.linalg.norm(points, axis=1, keepdims=True)
    names = [f"slide {one}" for one in slide]
    return embeddings.astype(np.float32), names, ["ab"[one] for one in of_class]


def test_slides_that_differ_more_than_classes():
    found = batch_effect(*tiles(by_slide=2.0, by_class=0.3))
    assert found.slide.accuracy > 0.95
    assert found.slide.chance == 0.25
    assert found.slides_differ_more
    assert ", n = 240, chance 25\N{NO-BREAK SPACE}%)" in found.sentence
    assert found.sentence.endswith("slides differ more than classes do.")


def test_classes_that_differ_more_than_slides():
    found = batch_effect(*tiles(by_slide=0.6, by_class=2.0))
    assert found.of_class.accuracy > 0.95
    assert found.of_class.chance == 0.5
    assert not found.slides_differ_more
    assert found.sentence.endswith("slides differ less than classes do.")


def test_slides_that_do_not_differ_are_told_by_chance():
    found = batch_effect(*tiles(by_slide=0.0, by_class=2.0, each=200))
    assert found.slide.accuracy == pytest.approx(0.25, abs=0.06)
    assert found.sentence.endswith("slides hardly differ.")


def test_a_large_slide_does_not_win_by_size():
    embeddings, slides, classes = tiles(by_slide=0.0, by_class=1.0, slides=2, each=400)
    few = [*range(400), *range(400, 440)]
    found = batch_effect(embeddings[few], [slides[i] for i in few], [classes[i] for i in few])
    assert found.slide.accuracy == pytest.approx(0.5, abs=0.12)


def test_the_class_is_told_by_other_slides_only():
    """Each slide has its own place and mostly one class, so that its own tiles would tell it."""
    rng = np.random.default_rng(1)
    points = np.repeat(np.eye(6)[:4], 50, axis=0) + rng.normal(scale=0.05, size=(200, 6))
    embeddings = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    slides = np.repeat(["a", "b", "c", "d"], 50).tolist()
    classes = ["x"] * 100 + ["y"] * 100
    found = batch_effect(embeddings, slides, classes)
    assert found.slide.accuracy == pytest.approx(1.0)
    assert found.of_class.accuracy < 0.7


def test_neighbours_of_the_same_case_do_not_vote():
    """Tiles of a case are copies of each other, and nothing else tells the source."""
    rng = np.random.default_rng(2)
    once = rng.normal(size=(60, 8))
    embeddings = np.repeat(once / np.linalg.norm(once, axis=1, keepdims=True), 6, axis=0)
    cases = np.repeat([f"case {i}" for i in range(60)], 6).tolist()
    sources = np.repeat(["one", "two"], 180).tolist()
    classes = ["ab"[i % 2] for i in range(360)]
    copies = embeddings.astype(np.float32)
    assert batch_effect(copies, sources, classes, k=5).slide.accuracy > 0.9
    honest = batch_effect(copies, sources, classes, cases=cases, k=5, unit="source")
    assert honest.slide.accuracy < 0.7
    assert "tells the source in" in honest.sentence


def test_nearby_tiles_of_the_same_slide_do_not_vote():
    """Each tile is like the one beside it, and nothing else tells the slide."""
    rng = np.random.default_rng(3)
    pairs = rng.normal(size=(100, 8))
    points = np.repeat(pairs, 2, axis=0) + rng.normal(scale=0.01, size=(200, 8))
    embeddings = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    slides = np.repeat(["one", "two"], 100).tolist()
    classes = ["ab"[i // 2 % 2] for i in range(200)]
    places = np.array([[10 * (i // 2) + i % 2, 0] for i in range(200)], float)
    near = batch_effect(embeddings, slides, classes, k=1)
    far = batch_effect(embeddings, slides, classes, k=1, places=places)
    assert near.slide.accuracy > 0.9
    assert far.slide.accuracy < 0.7


def test_classes_that_lie_on_one_slide_each_cannot_be_compared():
    embeddings, slides, _ = tiles(by_slide=1.0, by_class=0.0, slides=2)
    found = batch_effect(embeddings, slides, slides)
    assert found.of_class is None
    assert "no two classes" in found.sentence


def test_one_slide_is_refused_with_what_to_do():
    embeddings, slides, classes = tiles(1, 1, slides=1)
    with pytest.raises(QueryError, match="score at least two"):
        batch_effect(embeddings, slides, classes)


def test_a_slide_of_a_few_tiles_is_left_out():
    embeddings, slides, classes = tiles(1, 1, slides=3)
    kept = [*range(120), 121, 122]
    found = batch_effect(embeddings[kept], [slides[i] for i in kept], [classes[i] for i in kept])
    assert found.slide.groups == 2


@pytest.mark.parametrize(
    ("accuracy", "chance", "above"), [(1.0, 0.25, 1.0), (0.25, 0.25, 0.0), (0.1, 0.5, 0.0)]
)
def test_measured_from_chance(accuracy, chance, above):
    assert NeighbourAccuracy(accuracy, chance, 2).above_chance == pytest.approx(above)


def test_more_slides_make_a_lower_chance_and_count_for_more():
    slide, of_class = NeighbourAccuracy(0.6, 0.1, 10), NeighbourAccuracy(0.7, 0.5, 2)
    assert BatchEffect(slide, of_class).slides_differ_more


def test_another_stain_takes_the_slide_away_and_leaves_the_class():
    embeddings, slides, classes = tiles(by_slide=2.0, by_class=0.0)
    stainless, _, _ = tiles(by_slide=0.0, by_class=2.0, seed=5)
    seeds = []

    def embed(rows, seed):
        seeds.append(seed)
        return (embeddings if seed is None else stainless)[rows]

    seen, result = run_and_record(before_and_after(embed, slides, classes, at_once=50, seed=3))
    assert result.before == batch_effect(embeddings, slides, classes)
    assert result.after == batch_effect(stainless, slides, classes)
    assert (seen[-1].done, seen[-1].total) == (480, 480)
    assert seeds == [None] * 5 + [3] * 5


def test_tiles_that_are_known_are_not_embedded_again():
    embeddings, slides, classes = tiles(by_slide=0.5, by_class=1.0)
    places = np.array([[i % 60 / 10, 0] for i in range(240)], float)
    seeds = []

    def embed(rows, seed):
        seeds.append(seed)
        return embeddings[rows]

    seen, result = run_and_record(
        before_and_after(
            embed, slides, classes, known=embeddings, places=places, at_once=100, seed=3
        )
    )
    assert seeds == [3, 3, 3]
    assert seen == [Progress(100, 240), Progress(200, 240), Progress(240, 240)]
    assert result.before == batch_effect(embeddings, slides, classes, places=places)
    assert result.before != batch_effect(embeddings, slides, classes)


def effect(slide, of_class):
    told = None if of_class is None else NeighbourAccuracy(of_class, 0.5, 2)
    return BatchEffect(NeighbourAccuracy(slide, 0.5, 2), told)


@pytest.mark.parametrize(
    ("before", "after", "share", "means"),
    [
        (1.0, 0.55, 0.9, "it is mostly stain that tells slides apart."),
        (1.0, 0.75, 0.5, "part of what tells slides apart is stain"),
        (0.9, 0.85, 0.125, "hardly less. What still tells it is not stain"),
        (0.9, 0.95, 0.0, "hardly less. What still tells it is not stain"),
        (0.52, 0.5, 1.0, "Slides are hardly told as it is"),
        (0.5, 0.5, 0.0, "Slides are hardly told as it is"),
    ],
)
def test_what_it_means_if_slides_are_told_less_with_another_stain(before, after, share, means):
    found = BeforeAndAfter(effect(before, 0.8), effect(after, 0.78))
    assert found.stain_share == pytest.approx(share)
    assert means in found.sentence
    assert "class" not in found.sentence


def test_a_class_that_is_told_by_stain_is_said_to_be():
    found = BeforeAndAfter(effect(0.9, 0.8), effect(0.9, 0.7))
    assert found.sentence.endswith(
        "The class is told less well, too, in 70\N{NO-BREAK SPACE}% instead of "
        "80\N{NO-BREAK SPACE}%: it is told by stain in part."
    )
    assert "The class" not in BeforeAndAfter(effect(0.9, None), effect(0.9, None)).sentence
