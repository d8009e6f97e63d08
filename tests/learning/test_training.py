"""The whole of training, on a few generated images."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from napari_smse.learning.activations import Activations, Tail, compute_activations
from napari_smse.learning.calibration import apply_temperature, fit_temperature
from napari_smse.learning.crossval import (
    cross_validate,
    fit,
    image_means,
    judge,
    leave_source_out,
    source_folds,
    summarise,
)
from napari_smse.learning.external import bach_probabilities, tile_grid
from napari_smse.learning.labelled_set import LabelledImage
from napari_smse.learning.metrics import auc
from napari_smse.learning.sampling import BalancedBatches
from napari_smse.learning.trainer import Recipe, similarity_loss
from napari_smse.network import ModelCard, SmseNetwork, load_model, save_model
from napari_smse.network.self_test import generated_tile

QUICK = Recipe(steps=40, train_trunk=False)


def new_tail() -> Tail:
    torch.manual_seed(1)
    return Tail(SmseNetwork(embedding_dim=8).eval())


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[LabelledImage]:
    """Dense large nuclei are benign, sparse small ones malignant; 2 images a case."""
    folder = tmp_path_factory.mktemp("images")
    found = []
    for label, case, image in itertools.product((0, 1), range(5), range(2)):
        path = folder / f"{label}-{case}-{image}.png"
        noise = np.random.default_rng([label, case, image]).integers(-9, 10, (128, 128, 3))
        tile = generated_tile((2 if label else 8) + 12 * image, 128, 128) + noise
        Image.fromarray(np.clip(tile, 0, 255).astype(np.uint8)).save(path)
        source = "here" if case < 3 else "there"
        found.append(LabelledImage(path, label, f"{label}-{case}", 0.5, (0.4, 0.6), source, source))
    return found


@pytest.fixture(scope="module")
def pooled(records: list[LabelledImage]) -> Activations:
    return compute_activations(new_tail(), records, [2] * len(records))


def test_pooled_features_are_the_networks_own(
    records: list[LabelledImage], pooled: Activations
) -> None:
    from napari_smse.learning.crops import plain_crops

    assert pooled.values.shape == (len(records) * 3, 1280)
    assert pooled.plain.sum() == len(records)
    tile = plain_crops(Image.open(records[0].path).convert("RGB"), 0.5, (0.4, 0.6))[0]
    with torch.inference_mode():
        expected = new_tail().network.features(torch.from_numpy(tile).permute(2, 0, 1)[None])
    found = pooled.values[pooled.plain & (pooled.record == 0)].float()
    # bfloat16 on the way.
    torch.testing.assert_close(found, expected, rtol=0.1, atol=0.05 * float(expected.max()))


def test_a_tail_with_stages_and_its_early_part_are_the_network() -> None:
    network = SmseNetwork(embedding_dim=8).eval()
    tail = Tail(network, stages=2)
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        early = tail.early(network.normalise(images))
        torch.testing.assert_close(tail.late(early), network.features(images))
    assert early.ndim == 4


def test_activations_repeat(records: list[LabelledImage], pooled: Activations) -> None:
    again = compute_activations(new_tail(), records[:2], [2, 2])
    assert torch.equal(again.values, pooled.values[: len(again.values)])


def test_training_tells_the_classes_apart_and_survives_the_disk(
    records: list[LabelledImage], pooled: Activations, tmp_path: Path
) -> None:
    everything = np.ones(len(records), dtype=bool)
    tail = fit(new_tail, records, pooled, everything, replace(QUICK, steps=100, rate=0.02))
    images, logits = judge(tail, pooled, everything)
    assert images.tolist() == list(range(len(records)))
    assert auc([r.label for r in records], logits[:, 1] - logits[:, 0]) > 0.95
    network = tail.network
    card = ModelCard(
        name="smoke",
        version="0",
        classes=("benign", "malignant"),
        mpp_range=(0.4, 0.6),
        trunk=network.trunk_name,
        embedding_dim=8,
    )
    assert load_model(save_model(network, card, tmp_path / "smoke")).card.expected


def test_cross_validation_judges_each_image_once_and_other_sources_never(
    records: list[LabelledImage], pooled: Activations
) -> None:
    held_out = cross_validate(
        new_tail, records, pooled, QUICK, source="here", joining=["there"], folds=3
    )
    here = [i for i, r in enumerate(records) if r.source == "here"]
    assert sorted(held_out.records.tolist()) == here
    found = summarise(held_out, records)
    assert set(found) == {"auc", "auc within magnification", "balanced accuracy", "auc by fold"}
    for estimate in found.values():
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    fold_of = source_folds(records, "here", 3)
    assert (fold_of[here] >= 0).all()
    assert np.sum(fold_of >= 0) == len(here)


def test_a_left_out_source_is_judged_as_a_whole(
    records: list[LabelledImage], pooled: Activations
) -> None:
    held_out = leave_source_out(new_tail, records, pooled, QUICK, "there", trained_on=["here"])
    assert {records[i].source for i in held_out.records} == {"there"}
    assert len(held_out.records) == 8
    with pytest.raises(ValueError, match="trained on it"):
        leave_source_out(new_tail, records, pooled, QUICK, "there", trained_on=["there"])


def test_fitting_never_touches_what_is_not_allowed(
    records: list[LabelledImage], pooled: Activations
) -> None:
    allowed = np.array([r.source == "here" for r in records])
    spoilt = Activations(pooled.values.clone(), pooled.record, pooled.plain)
    spoilt.values[~allowed[pooled.record]] = float("nan")
    tail = fit(new_tail, records, spoilt, allowed, QUICK)
    for parameter in tail.parameters():
        assert torch.isfinite(parameter).all()


@pytest.mark.parametrize("train_trunk", [False, True])
def test_only_what_the_recipe_names_learns(
    records: list[LabelledImage], pooled: Activations, train_trunk: bool
) -> None:
    few = records[:2] + records[-2:]
    spatial = compute_activations(Tail(SmseNetwork(embedding_dim=4).eval(), 1), few, [0] * 4)

    def with_stage() -> Tail:
        torch.manual_seed(1)
        return Tail(SmseNetwork(embedding_dim=4).eval(), stages=1)

    before = {name: p.clone() for name, p in with_stage().named_parameters()}
    recipe = replace(QUICK, steps=2, train_trunk=train_trunk)
    tail = fit(with_stage, few, spatial, np.ones(4, dtype=bool), recipe)
    changed = {n for n, p in tail.named_parameters() if not torch.equal(p, before[n])}
    assert any("class_head" in name for name in changed)
    assert any(name.startswith("late") for name in changed) is train_trunk
    assert not any(name.startswith("early") for name in changed)


@pytest.mark.parametrize("similarity", ["none", "pair", "triplet"])
def test_every_similarity_gives_a_finite_gradient(similarity: str) -> None:
    embedding = torch.nn.functional.normalize(torch.randn(12, 4), dim=1).requires_grad_()
    recipe = replace(QUICK, similarity=similarity)
    loss = similarity_loss(embedding, torch.arange(12) % 2, recipe)
    loss.backward()
    assert embedding.grad is not None
    assert torch.isfinite(embedding.grad).all()
    assert bool(embedding.grad.any()) is (similarity != "none")


def test_batches_are_balanced_by_class_and_by_case(records: list[LabelledImage]) -> None:
    owners = np.repeat(np.arange(len(records)), [9, *[1] * (len(records) - 1)])
    batches = BalancedBatches(records, owners, cases_per_class=6, crops_per_case=2, seed=3)
    labels, cases = [], []
    for _ in range(100):
        batch = batches.draw()
        assert len(batch) == 24
        labels += [records[i].label for i in owners[batch]]
        cases += [records[i].case for i in owners[batch]]
    assert np.mean(labels) == 0.5
    benign_here = [cases.count(f"0-{i}") for i in range(3)]
    # The first case has ten times the crops of the others, and comes no more often.
    assert max(benign_here) < 1.5 * min(benign_here)


def test_sources_are_drawn_by_their_weight(records: list[LabelledImage]) -> None:
    owners = np.arange(len(records))
    batches = BalancedBatches(records, owners, source_weights={"here": 3.0}, seed=0)
    drawn = [records[i].source for _ in range(50) for i in batches.draw()]
    assert drawn.count("here") / len(drawn) == pytest.approx(0.75, abs=0.05)


def test_images_average_their_crops() -> None:
    images, means = image_means(np.array([4, 2, 4]), torch.tensor([[1.0], [5.0], [3.0]]))
    assert images.tolist() == [2, 4]
    assert means.tolist() == [[5.0], [2.0]]


def test_temperature_undoes_overconfidence() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4000, 2, generator=generator) * 2
    labels = torch.multinomial(torch.softmax(logits, dim=1), 1, generator=generator)[:, 0]
    assert fit_temperature(logits * 4, labels) == pytest.approx(4, rel=0.1)
    network = SmseNetwork(embedding_dim=8).eval()
    features = torch.rand(3, 1280)
    before = network.head(features).logits
    apply_temperature(network, 4.0)
    torch.testing.assert_close(network.head(features).logits, before / 4)


def test_the_external_images_are_unsqueezed_and_covered(tmp_path: Path) -> None:
    for name in ("benign", "invasive"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (96, 96), (200, 150, 180)).save(tmp_path / name / "a.jpg")
    labels, scores = bach_probabilities(SmseNetwork(embedding_dim=8).eval(), tmp_path, mpp=1.2)
    assert labels.tolist() == [0, 1]
    assert ((scores > 0) & (scores < 1)).all()
    # 1536 x 1152 at 0.56 um/px is 1720 x 1290 at 0.5: seven tiles across, five down.
    assert len(tile_grid(Image.new("RGB", (1536, 1152)), 0.56, 0.5)) == 35
