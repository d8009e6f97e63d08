"""Miners against pytorch-metric-learning and against what triplets are."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from napari_smse.losses import mine_triplets, miners, random_pairs
from napari_smse.losses.miners import Triplets, mine_pairs, valid_triplets

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
    oracles = pytest.importorskip("pytorch_metric_learning.miners")
    distances = pytest.importorskip("pytorch_metric_learning.distances")
    embedding, labels = batch(seed)
    oracle = oracles.TripletMarginMiner(
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
    assert seen == as_set(valid_triplets(labels))


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


@pytest.mark.parametrize("mining", ["semi-hard", "hard"])
@pytest.mark.parametrize("at_once", [1, 300, 10**9])
def test_triplets_are_the_same_however_few_anchors_are_looked_at(
    mining: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedding, labels = batch(3, size=20)
    square = torch.cdist(embedding, embedding).square()
    a, p, n = valid_triplets(labels)
    gap = square[a, n] - square[a, p]
    keep = (gap > 0) & (gap <= 0.3) if mining == "semi-hard" else gap <= 0
    monkeypatch.setattr(miners, "_MAX_AT_ONCE", at_once)
    found = mine_triplets(embedding, labels, mining, 0.3)
    for ours, theirs in zip(found, (a[keep], p[keep], n[keep]), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.slow
def test_a_thousand_embeddings_are_mined_in_bounded_parts() -> None:
    embedding, labels = batch(0, size=1000)
    square = torch.cdist(embedding, embedding).square()
    done = 0
    for first, mask in miners.triplet_masks(embedding, labels, "hard", 0.2):
        assert first == done
        assert mask.numel() <= miners._MAX_AT_ONCE
        for anchor in range(first, first + len(mask)):
            if anchor % 50:
                continue
            near = square[anchor, (labels == labels[anchor]) & (torch.arange(1000) != anchor)]
            far = square[anchor, labels != labels[anchor]].sort().values
            # How many negatives are no farther than each positive.
            expected = torch.searchsorted(far, near, right=True).sum()
            assert mask[anchor - first].sum() == expected
        done += len(mask)
    assert done == 1000


@settings(max_examples=30, deadline=None)
@given(seeds, st.sampled_from(["semi-hard", "hard"]))
def test_mined_pairs_are_what_their_definition_says(seed: int, mining: str) -> None:
    embedding, labels = batch(seed)
    distance = torch.cdist(embedding, embedding)
    first, second, same = mine_pairs(embedding, labels, mining, torch.Generator().manual_seed(seed))
    assert torch.equal(same, labels[first] == labels[second])
    assert not (first == second).any()
    assert same.sum() * 2 == len(same)
    half = len(same) // 2
    for anchor, near, far in zip(first[:half], second[:half], second[half:], strict=True):
        others = distance[anchor][labels != labels[anchor]]
        if mining == "hard":
            alike = labels == labels[anchor]
            assert distance[anchor, near] == distance[anchor][alike].max()
            assert distance[anchor, far] == others.min()
        else:
            assert distance[anchor, far] == others[others > distance[anchor, near]].min()


@pytest.mark.parametrize("mining", ["none", "semi-hard", "hard"])
def test_a_batch_of_one_class_has_no_pairs(mining: str) -> None:
    found = mine_pairs(torch.randn(4, 2), torch.zeros(4, dtype=torch.long), mining)
    assert all(len(part) == 0 for part in found)
