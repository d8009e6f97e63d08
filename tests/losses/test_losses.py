"""The losses against pytorch-metric-learning, slow obvious loops, and autograd."""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from napari_smse.losses import (
    ContrastiveLoss,
    FocalLoss,
    ReinforcedFocalLoss,
    TripletLoss,
    random_pairs,
)

seeds = st.integers(0, 2**31 - 1)
margins = st.sampled_from([0.1, 0.5, 1.0, 2.0])


class Result(NamedTuple):
    value: Tensor
    gradients: tuple[Tensor, ...]


def random(seed: int, *shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
        for shape in shapes
    ]


def with_gradients(value: Tensor, inputs: list[Tensor]) -> Result:
    return Result(
        value, torch.autograd.grad(value, inputs, allow_unused=True, materialize_grads=True)
    )


def assert_same(ours: Result, theirs: Result) -> None:
    torch.testing.assert_close(ours.value, theirs.value, rtol=0, atol=1e-6)
    for one, other in zip(ours.gradients, theirs.gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


def slow_pair_loss(first: Tensor, second: Tensor, same: Tensor, margin: float) -> Tensor:
    total = torch.zeros((), dtype=first.dtype)
    for a, b, y in zip(first, second, same.tolist(), strict=True):
        distance = sum((x - z) ** 2 for x, z in zip(a, b, strict=True)) ** 0.5
        total = total + 0.5 * (distance**2 if y else torch.relu(margin - distance) ** 2)
    return total / len(first)


def slow_triplet_loss(anchor: Tensor, near: Tensor, far: Tensor, margin: float) -> Tensor:
    total = torch.zeros((), dtype=anchor.dtype)
    for a, p, n in zip(anchor, near, far, strict=True):
        total = total + torch.relu(((a - p) ** 2).sum() - ((a - n) ** 2).sum() + margin)
    return total / len(anchor)


@settings(max_examples=25, deadline=None)
@given(seeds, margins)
def test_pair_loss_is_the_slow_one(seed: int, margin: float) -> None:
    inputs = random(seed, (6, 4), (6, 4))
    same = torch.rand(6, generator=torch.Generator().manual_seed(seed)) < 0.5
    ours = with_gradients(ContrastiveLoss(margin)(*inputs, same), inputs)
    theirs = with_gradients(slow_pair_loss(*inputs, same, margin), inputs)
    assert_same(ours, theirs)


@settings(max_examples=25, deadline=None)
@given(seeds, margins)
def test_triplet_loss_is_the_slow_one(seed: int, margin: float) -> None:
    inputs = random(seed, (6, 4), (6, 4), (6, 4))
    ours = with_gradients(TripletLoss(margin)(*inputs), inputs)
    theirs = with_gradients(slow_triplet_loss(*inputs, margin), inputs)
    assert_same(ours, theirs)


@settings(max_examples=20, deadline=None)
@given(seeds, margins)
def test_triplet_loss_is_that_of_pytorch_metric_learning(seed: int, margin: float) -> None:
    distances = pytest.importorskip("pytorch_metric_learning.distances")
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    reducers = pytest.importorskip("pytorch_metric_learning.reducers")
    oracle = losses.TripletMarginLoss(
        margin=margin,
        distance=distances.LpDistance(normalize_embeddings=False, p=2, power=2),
        reducer=reducers.MeanReducer(),
    )
    (embedding,) = random(seed, (8, 5))
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 1, 0])
    triplets = [
        (a, p, n)
        for a in range(8)
        for p in range(8)
        for n in range(8)
        if a != p and labels[a] == labels[p] != labels[n]
    ]
    a, p, n = (torch.tensor(column) for column in zip(*triplets, strict=True))
    ours = TripletLoss(margin)(embedding[a], embedding[p], embedding[n])
    theirs = oracle(embedding, labels, (a, p, n))
    assert_same(with_gradients(ours, [embedding]), with_gradients(theirs, [embedding]))


@settings(max_examples=20, deadline=None)
@given(seeds, margins)
def test_pair_loss_is_that_of_pytorch_metric_learning(seed: int, margin: float) -> None:
    # Its contrastive loss is linear in the distance it is given; the pair loss is half
    # the square. So positives go through squared distances, negatives are squared after.
    distances = pytest.importorskip("pytorch_metric_learning.distances")
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    reducers = pytest.importorskip("pytorch_metric_learning.reducers")

    class Unreduced(reducers.DoNothingReducer):
        """Hand out the losses one by one, to be squared before they are averaged."""

        def forward(self, loss_dict, embeddings, labels):
            kind = "pos_loss" if torch.is_tensor(loss_dict["pos_loss"]["losses"]) else "neg_loss"
            return loss_dict[kind]["losses"]

    (embedding,) = random(seed, (4, 5))
    nothing = torch.tensor([], dtype=torch.long)
    # It takes a single pair for none at all, so there are two.
    a, b = torch.tensor([0, 2]), torch.tensor([1, 3])
    for same in (True, False):
        power = 2 if same else 1
        oracle = losses.ContrastiveLoss(
            pos_margin=0,
            neg_margin=margin,
            distance=distances.LpDistance(normalize_embeddings=False, p=2, power=power),
            reducer=Unreduced(),
        )
        pairs = (a, b, nothing, nothing) if same else (nothing, nothing, a, b)
        raw = oracle(embedding, torch.tensor([0, int(not same), 0, int(not same)]), pairs)
        theirs = (0.5 * (raw if same else raw**2)).mean()
        ours = ContrastiveLoss(margin)(embedding[a], embedding[b], torch.tensor([same, same]))
        assert_same(with_gradients(ours, [embedding]), with_gradients(theirs, [embedding]))


def test_pair_loss_of_coinciding_embeddings_has_a_finite_gradient() -> None:
    first = torch.ones(2, 3, requires_grad=True)
    loss = ContrastiveLoss()(first, torch.ones(2, 3), torch.tensor([True, False]))
    loss.backward()
    assert loss.item() == pytest.approx(0.25)
    assert first.grad is not None
    assert torch.isfinite(first.grad).all()


def test_no_pairs_cost_nothing_and_still_backpropagate() -> None:
    (embedding,) = random(0, (6, 4))
    first, second, same = random_pairs(torch.zeros(6, dtype=torch.long))
    loss = ContrastiveLoss()(embedding[first], embedding[second], same)
    loss.backward()
    assert loss.item() == 0
    assert embedding.grad is not None
    assert not embedding.grad.any()


def test_no_triplets_cost_nothing_and_still_backpropagate() -> None:
    embedding = torch.randn(4, 3, requires_grad=True)
    nothing = embedding[torch.tensor([], dtype=torch.long)]
    loss = TripletLoss()(nothing, nothing, nothing)
    loss.backward()
    assert loss.item() == 0
    assert embedding.grad is not None
    assert not embedding.grad.any()


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0]), st.booleans(), st.booleans())
def test_focal_loss_is_the_slow_one(seed: int, gamma: float, weighted: bool, detach: bool) -> None:
    inputs = random(seed, (7, 3))
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 1])
    alpha = [0.5, 1.0, 2.0] if weighted else None
    total = torch.zeros((), dtype=torch.float64)
    for row, label in zip(inputs[0], labels.tolist(), strict=True):
        p = torch.exp(row[label]) / torch.exp(row).sum()
        modulator = (1 - p) ** gamma
        modulator = modulator.detach() if detach else modulator
        total = total - (alpha[label] if alpha else 1) * modulator * torch.log(p)
    ours = FocalLoss(gamma, alpha, detach=detach)(inputs[0], labels)
    assert_same(with_gradients(ours, inputs), with_gradients(total / 7, inputs))


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_focal_loss_without_focus_is_cross_entropy(seed: int) -> None:
    inputs = random(seed, (9, 2))
    labels = torch.arange(9) % 2
    theirs = torch.nn.functional.cross_entropy(inputs[0], labels)
    ours = FocalLoss(gamma=0)(inputs[0], labels)
    assert_same(with_gradients(ours, inputs), with_gradients(theirs, inputs))


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_focal_loss_is_torchvisions_where_both_are_defined(seed: int) -> None:
    ops = pytest.importorskip("torchvision.ops")
    inputs = random(seed, (9, 1))
    labels = torch.arange(9) % 2
    # A sigmoid of one logit is a softmax over it and zero.
    logits = torch.cat([torch.zeros_like(inputs[0]), inputs[0]], dim=1)
    ours = FocalLoss(2.0, detach=False)(logits, labels)
    theirs = ops.sigmoid_focal_loss(
        inputs[0][:, 0], labels.double(), alpha=-1, gamma=2, reduction="mean"
    )
    assert_same(with_gradients(ours, inputs), with_gradients(theirs, inputs))


@settings(max_examples=40, deadline=None)
@given(seeds, st.floats(0.1, 0.9), st.sampled_from([0.5, 1.5, 3.0]))
def test_reinforced_focal_loss_is_the_slow_one(seed: int, share: float, gamma: float) -> None:
    inputs = random(seed, (7, 2))
    labels = torch.tensor([0, 1, 1, 0, 1, 0, 1])
    total = torch.zeros((), dtype=torch.float64)
    for row, label in zip(inputs[0], labels.tolist(), strict=True):
        p = torch.exp(row[label]) / torch.exp(row).sum()
        total = total + (1 - share, share)[label] * 2 * (1 - p) ** gamma
    ours = ReinforcedFocalLoss(share, gamma=gamma).double()
    ours.beta = torch.tensor([1 - share, share], dtype=torch.float64)
    assert_same(with_gradients(ours(inputs[0], labels), inputs), with_gradients(total / 7, inputs))


def loss_at(loss: torch.nn.Module, p: float) -> float:
    logits = torch.tensor([[math.log(p), math.log(1 - p)]], dtype=torch.float64)
    return float(loss(logits, torch.tensor([0])))


def test_reinforced_focal_loss_lies_where_the_method_says() -> None:
    reinforced, focal = ReinforcedFocalLoss(0.5), FocalLoss(2.0)
    unweighted = 2.0  # beta of 0.5 halves it, the comparison is of the unweighted loss
    for p in (0.25, 0.4, 0.6, 0.8, 0.95):
        assert unweighted * loss_at(reinforced, p) > loss_at(focal, p)
    for p in (0.6, 0.7, 0.8, 0.9):
        assert unweighted * loss_at(reinforced, p) < -math.log(p)


@pytest.mark.parametrize("loss", [FocalLoss(0.5, detach=False), ReinforcedFocalLoss(0.3)])
def test_certain_predictions_give_finite_gradients(loss: torch.nn.Module) -> None:
    logits = torch.tensor([[80.0, -80.0], [-80.0, 80.0]], requires_grad=True)
    loss(logits, torch.tensor([0, 0])).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, 7.0])
def test_reinforced_focal_loss_refuses_an_impossible_share(share: float) -> None:
    with pytest.raises(ValueError, match=r"inside 0\.\.1"):
        ReinforcedFocalLoss(share)
