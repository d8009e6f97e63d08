"""The loss over all mined triplets against listing them, and against pytorch-metric-learning."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from napari_smse.losses import mine_triplets, miners
from napari_smse.losses.triplet import mined_triplet_loss, triplet_loss

seeds = st.integers(0, 2**31 - 1)
minings = st.sampled_from(["semi-hard", "hard"])


def batch(seed: int, size: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    embedding = torch.randn(size, 5, generator=generator, dtype=torch.float64)
    embedding = torch.nn.functional.normalize(embedding, dim=1).requires_grad_()
    return embedding, torch.randint(0, 3, (size,), generator=generator)


def gradient(loss: Tensor, embedding: Tensor) -> Tensor:
    return torch.autograd.grad(loss, embedding, allow_unused=True, materialize_grads=True)[0]


@settings(max_examples=30, deadline=None)
@given(seeds, minings, st.sampled_from([0.1, 0.3, 1.0]), st.integers(1, 20))
def test_it_is_the_mean_over_the_listed_triplets(
    seed: int, mining: str, margin: float, size: int
) -> None:
    embedding, labels = batch(seed, size)
    ours = mined_triplet_loss(embedding, labels, mining, margin)
    a, p, n = mine_triplets(embedding, labels, mining, margin)
    theirs = triplet_loss(embedding[a], embedding[p], embedding[n], margin)
    # Triplets are counted in float32.
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    torch.testing.assert_close(
        gradient(ours, embedding), gradient(theirs, embedding), rtol=0, atol=1e-6
    )


@settings(max_examples=20, deadline=None)
@given(seeds, minings)
def test_it_is_that_of_pytorch_metric_learning(seed: int, mining: str) -> None:
    distances = pytest.importorskip("pytorch_metric_learning.distances")
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    reducers = pytest.importorskip("pytorch_metric_learning.reducers")
    oracles = pytest.importorskip("pytorch_metric_learning.miners")
    embedding, labels = batch(seed, 16)
    distance = distances.LpDistance(normalize_embeddings=False, p=2, power=2)
    oracle = losses.TripletMarginLoss(margin=0.3, distance=distance, reducer=reducers.MeanReducer())
    miner = oracles.TripletMarginMiner(
        margin=0.3, type_of_triplets=mining.replace("-", ""), distance=distance
    )
    theirs = oracle(embedding, labels, miner(embedding, labels))
    ours = mined_triplet_loss(embedding, labels, mining, 0.3)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    torch.testing.assert_close(
        gradient(ours, embedding), gradient(theirs, embedding), rtol=0, atol=1e-5
    )


def test_it_does_not_depend_on_how_many_anchors_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    embedding, labels = batch(1, 30)
    whole = mined_triplet_loss(embedding, labels, "semi-hard", 0.3)
    monkeypatch.setattr(miners, "_MAX_AT_ONCE", 1)
    assert mined_triplet_loss(embedding, labels, "semi-hard", 0.3) == whole


def test_no_triplets_cost_nothing_and_still_backpropagate() -> None:
    embedding, _ = batch(0, 4)
    loss = mined_triplet_loss(embedding, torch.zeros(4, dtype=torch.long), "hard", 0.3)
    loss.backward()
    assert loss.item() == 0
    assert embedding.grad is not None
    assert not embedding.grad.any()
