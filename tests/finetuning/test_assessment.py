"""Neighbours and means of held-out tiles."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from napari_smse.finetuning.assessment import accuracy_of, assess, recall_hits, separation
from support.embeddings import clouds


def test_recall_is_what_a_slow_loop_finds() -> None:
    queries, gallery = clouds(0, 30), clouds(1, 50)
    found = recall_hits(queries, gallery)
    for k in (1, 5):
        hits = 0
        for point, label in zip(queries.embeddings, queries.labels, strict=True):
            order = (gallery.embeddings - point).norm(dim=1).argsort()[:k]
            hits += bool((gallery.labels[order] == label).any())
        assert found[k].mean() == pytest.approx(hits / 30)
    assert recall_hits(queries, clouds(1, 2))[5].all()


def test_recall_has_an_interval_and_so_has_its_change() -> None:
    before, after = (
        assess(tiles, tiles.embeddings, clouds(1, 50))
        for tiles in (clouds(0, 30), replace(clouds(0, 30), embeddings=clouds(5, 30).embeddings))
    )
    for k, found in after.recall.items():
        assert found.low < found.value < found.high or found.value in (0, 1)
        assert found.n == 30
        change = after.recall_since(before)[k]
        assert change.value == pytest.approx(found.value - before.recall[k].value)
        assert change.low <= change.value <= change.high
    assert all(one.value == 0 for one in before.recall_since(before).values())


def test_an_images_logits_are_the_mean_over_its_tiles() -> None:
    tiles = replace(clouds(0, 6), images=torch.tensor([9, 9, 2, 2, 2, 5]))
    logits = torch.arange(12.0).reshape(6, 2)
    found = assess(tiles, logits, clouds(1))
    assert found.held_out.images.tolist() == [2, 5, 9]
    torch.testing.assert_close(
        found.held_out.logits,
        torch.stack([logits[2:5].mean(0), logits[5], logits[:2].mean(0)]),
    )


def test_the_share_of_right_calls() -> None:
    assert accuracy_of(torch.eye(4), torch.tensor([0, 1, 2, 0])) == 0.75


def test_separation_is_what_a_slow_loop_finds() -> None:
    tiles = clouds(0, 30)
    alike, unlike = [], []
    for i in range(30):
        for j in range(30):
            if i != j:
                apart = float((tiles.embeddings[i] - tiles.embeddings[j]).norm())
                (alike if tiles.labels[i] == tiles.labels[j] else unlike).append(apart)
    expected = sum(unlike) / len(unlike) - sum(alike) / len(alike)
    assert separation(tiles) == pytest.approx(expected, abs=1e-5)


def test_separation_of_one_class_is_unknown_and_many_tiles_are_thinned() -> None:
    one_class = clouds(0, 10)
    assert math.isnan(separation(replace(one_class, labels=torch.zeros(10, dtype=torch.int64))))
    assert separation(clouds(0, 3001)) == pytest.approx(separation(clouds(1, 599)), abs=0.1)
