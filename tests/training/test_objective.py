"""The sum of the losses, its parts and its weights."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from napari_smse.models.smse_network import NetworkOutput
from napari_smse.training.objective import (
    batch_loss,
    classification_part,
    feature_drift,
    place_contrast,
)
from napari_smse.training.recipe import Recipe
from napari_smse.training.seeding import generator_of, seed_of

LABELS = torch.arange(12) % 2


def output(seed: int = 0) -> NetworkOutput:
    generator = torch.Generator().manual_seed(seed)
    embedding = functional.normalize(torch.randn(12, 4, generator=generator), dim=1)
    logits = torch.randn(12, 2, generator=generator)
    return NetworkOutput(embedding.requires_grad_(), logits.requires_grad_())


def total(recipe: Recipe, step: int = 0, drift: Tensor | None = None) -> float:
    made = batch_loss(output(), LABELS, recipe, generator=generator_of(0, step), drift=drift)
    return float(made.total.detach())


@pytest.mark.parametrize("similarity", ["none", "pair", "triplet"])
@pytest.mark.parametrize("mining", ["none", "semi-hard", "hard"])
@pytest.mark.parametrize("classification", ["cross-entropy", "focal", "reinforced focal"])
def test_the_total_is_the_weighted_sum_of_its_parts(
    similarity: str, mining: str, classification: str
) -> None:
    recipe = Recipe(
        similarity=similarity,
        mining=mining,
        classification=classification,
        similarity_weight=0.3,
        distillation_weight=2.0,
        consistency_weight=0.7,
        crops_per_case=3,
    )
    made = output()
    drift = torch.rand(12, requires_grad=True)
    parts = batch_loss(made, LABELS, recipe, generator=generator_of(0), drift=drift)
    sums = [float(part.detach()) for part in parts]
    added = 2.0 * sums[3] + 0.7 * sums[4]
    assert sums[0] == pytest.approx(0.3 * sums[1] + sums[2] + added, rel=1e-6)
    parts.total.backward()
    for tensor in (made.embedding, made.logits):
        assert torch.isfinite(tensor.grad).all()
        assert tensor.grad.any()
    torch.testing.assert_close(drift.grad, torch.full((12,), 2.0 / 12))


@pytest.mark.parametrize("similarity", ["pair", "triplet"])
def test_random_mining_repeats_with_its_step_and_varies_with_others(similarity: str) -> None:
    recipe = Recipe(similarity=similarity, mining="none", margin=1.0)
    assert total(recipe, step=3) == total(recipe, step=3)
    assert len({total(recipe, step) for step in range(6)}) > 1


def test_without_weight_a_part_counts_nothing() -> None:
    alone = total(Recipe(similarity="none"))
    assert total(Recipe(similarity="triplet", similarity_weight=0.0)) == alone
    assert total(Recipe(similarity="none"), drift=torch.rand(12)) == alone


def test_only_similarity_and_consistency_move_the_embedding() -> None:
    for recipe, moves in (
        (Recipe(similarity="none"), False),
        (Recipe(similarity="triplet"), True),
        (Recipe(similarity="none", consistency_weight=1.0, crops_per_case=2), True),
    ):
        made = output()
        batch_loss(made, LABELS, recipe, generator=generator_of(0)).total.backward()
        assert bool(made.embedding.grad is not None and made.embedding.grad.any()) is moves


def test_places_are_told_from_all_others_of_the_batch() -> None:
    places = functional.normalize(torch.randn(4, 64, generator=generator_of(1)), dim=1)
    found = float(place_contrast(places.repeat_interleave(3, dim=0), 3))
    mixed = float(place_contrast(places.repeat(3, 1), 3))
    one = float(place_contrast(places[:1].repeat(12, 1), 3))
    # Of two others of its place, each gets half; where all are alike, one of eleven.
    assert found == pytest.approx(math.log(2), abs=0.01)
    assert one == pytest.approx(math.log(11))
    assert mixed > one
    assert float(place_contrast(places, 1)) == float(place_contrast(places, 4)) == 0


def test_contrast_is_what_a_slow_loop_finds() -> None:
    made = functional.normalize(torch.randn(6, 5, generator=generator_of(2)), dim=1).double()
    terms = []
    for i in range(6):
        others = [k for k in range(6) if k != i]
        partner = i ^ 1
        weights = [math.exp(float(made[i] @ made[k]) / 0.1) for k in others]
        terms.append(-math.log(math.exp(float(made[i] @ made[partner]) / 0.1) / sum(weights)))
    assert float(place_contrast(made, 2)) == pytest.approx(sum(terms) / 6, rel=1e-5)


def test_label_smoothing_is_torchs() -> None:
    logits = output().logits
    recipe = Recipe(classification="cross-entropy", label_smoothing=0.1)
    expected = functional.cross_entropy(logits, LABELS, label_smoothing=0.1)
    assert classification_part(logits, LABELS, recipe) == expected
    plain = classification_part(logits, LABELS, Recipe(classification="cross-entropy"))
    assert plain == functional.cross_entropy(logits, LABELS)
    assert plain != expected


def test_reinforced_focal_loss_weighs_balanced_classes_alike() -> None:
    logits = torch.zeros(4, 2)
    recipe = Recipe(classification="reinforced focal")
    # Half of alpha = 2 times (1 - 1/2) ** 1.5, for either class.
    for label in (0, 1):
        found = classification_part(logits, torch.full((4,), label), recipe)
        assert float(found) == pytest.approx(0.5**1.5)


def test_drift_is_relative_and_leaves_the_start_alone() -> None:
    start = torch.randn(5, 7, requires_grad=True)
    features = start.detach().clone().requires_grad_()
    assert not feature_drift(features, start).any()
    torch.testing.assert_close(feature_drift(torch.zeros(5, 7), start), torch.ones(5))
    feature_drift(2 * features, start).sum().backward()
    assert start.grad is None
    torch.testing.assert_close(feature_drift(10 * features, 10 * start), torch.zeros(5))


def test_seeds_tell_all_draws_apart() -> None:
    parts = [(1, 2), (2, 1), (1, 2, 0), (12,), (0, 1, 2), (1, 2, 3), (1, 2, 4)]
    assert len({seed_of(*one) for one in parts}) == len(parts)
    assert all(0 <= seed_of(*part) < 2**63 for part in parts)
