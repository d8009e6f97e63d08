"""Miners against pytorch-metric-learning and against what triplets are."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from napari_smse.network import mine_triplets, random_pairs
from napari_smse.network.miners import Triplets, all_triplets

seeds = st.integers(0, 2**31 - 1)


def batch(seed: int, size: int = 12) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    embedding = torch.randn(size, 4, generator=generator)
    labels = torch.randint(0, 3, (size,), generator=generator)
    return torch.nn.functional.normalize(embedding, dim=1), labels


def as_set(triplets: Triplets) -> set[tuple[int, ...]]:
    return set(zip(*(part.tolist() for part in triplets), strict=True))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("mining", "oracle_type"), [("semi-hard", "semihard"), ("hard", "hard")])
def test_miners_choose_as_pytorch_metric_learning(seed: int, mining: str, oracle_type: str) -> None:
    miners = pytest.importorskip("pytorch_metric_learning.miners")
    distances = pytest.importorskip("pytorch_metric_learning.distances")
    embedding, labels = batch(seed)
    oracle = miners.TripletMarginMiner(
        margin=0.3,
        type_of_triplets=oracle_type,
        distance=distances.LpDistance(normalize_embeddings=False, p=2, power=2),
    )
    assert as_set(mine_triplets(embedding, labels, mining, 0.3)) == as_set(
        oracle(embedding, labels)
    )


@settings(max_examples=30, deadline=None)
@given(seeds, st.sampled_from(["none", "semi-hard", "hard"]))
def test_every_mined_triplet_is_valid(seed: int, mining: str) -> None:
    embedding, labels = batch(seed)
    for a, p, n in as_set(mine_triplets(embedding, labels, mining, 0.3)):
        assert a != p
        assert labels[a] == labels[p]
        assert labels[a] != labels[n]


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_without_mining_each_possible_anchor_comes_once(seed: int) -> None:
    embedding, labels = batch(seed)
    anchors = mine_triplets(embedding, labels, "none")[0].tolist()
    possible = [
        i
        for i, label in enumerate(labels.tolist())
        if labels.tolist().count(label) > 1 and len(set(labels.tolist())) > 1
    ]
    assert anchors == possible


def test_without_mining_the_draw_reaches_every_triplet() -> None:
    embedding, labels = torch.zeros(5, 2), torch.tensor([0, 0, 0, 1, 1])
    generator = torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(200):
        seen |= as_set(mine_triplets(embedding, labels, "none", generator=generator))
    assert seen == as_set(all_triplets(labels))


def test_a_batch_of_one_class_has_no_triplets() -> None:
    for mining in ("none", "semi-hard", "hard"):
        found = mine_triplets(torch.randn(4, 2), torch.zeros(4, dtype=torch.long), mining)
        assert all(len(part) == 0 for part in found)


def test_pairs_are_half_and_half_and_say_so() -> None:
    labels = torch.arange(2000) % 2
    first, second, same = random_pairs(labels, torch.Generator().manual_seed(0))
    assert torch.equal(same, labels[first] == labels[second])
    assert 0.45 < same.float().mean() < 0.55
    assert not (first == second).any()


def test_an_unknown_mining_is_refused() -> None:
    with pytest.raises(ValueError, match="easy"):
        mine_triplets(torch.randn(4, 2), torch.tensor([0, 0, 1, 1]), "easy")
