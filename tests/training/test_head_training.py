"""Features computed once, and heads learnt on them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from napari_smse.datasets.crops import evaluation_tiles
from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet
from napari_smse.datasets.pixels import read_pixels
from napari_smse.evaluation.cross_validation import cross_validate
from napari_smse.evaluation.scale_curve import at_scale
from napari_smse.metrics.classification import roc_auc
from napari_smse.models import SmseNetwork
from napari_smse.models.generated_tiles import generated_tile
from napari_smse.progress import Progress
from napari_smse.training.feature_cache import FeatureCache
from napari_smse.training.head_training import (
    HeadLearner,
    fresh_heads,
    predict_from_features,
    train_heads,
)
from napari_smse.training.recipe import Recipe

RECIPE = Recipe(
    network="efficientnet_lite0+stages",
    embedding_dim=8,
    trainable="head",
    classification="cross-entropy",
    tile_px=64,
    steps=40,
    warm_up=4,
    cases_per_class=3,
    crops_per_case=2,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> LabelledSet:
    """Dense large nuclei are benign, sparse small ones malignant; 2 images a case."""
    folder = tmp_path_factory.mktemp("images")
    found = []
    for label, case, number in itertools.product((0, 1), range(5), range(2)):
        path = folder / f"{label}-{case}-{number}.png"
        noise = np.random.default_rng([label, case, number]).integers(-9, 10, (128, 128, 3))
        tile = generated_tile((2 if label else 8) + 12 * number, 128, 128) + noise
        Image.fromarray(np.clip(tile, 0, 255).astype(np.uint8)).save(path)
        found.append(LabelledImage(path, label, f"{label}-{case}", 0.5, (0.4, 0.6), "here", "here"))
    return LabelledSet(("benign", "malignant"), tuple(found))


@pytest.fixture(scope="module")
def table(data: LabelledSet) -> FeatureCache:
    torch.manual_seed(0)
    made = FeatureCache(SmseNetwork(RECIPE.network, 8), RECIPE, crops_per_image=3)
    counted = list(made.fill(data.images))
    assert counted == [Progress(done, 20) for done in range(1, 21)]
    assert list(made.fill(data.images)) == []
    return made


def test_a_table_holds_the_networks_own_features(data: LabelledSet, table: FeatureCache) -> None:
    image = data.images[3]
    found, crops = table.evaluation_features(image), table.crops(image)
    tiles = np.stack(evaluation_tiles(read_pixels(image), image, 64))
    with torch.inference_mode():
        own = table.network.features(torch.from_numpy(tiles).permute(0, 3, 1, 2))
    torch.testing.assert_close(found.values.float(), own, rtol=2e-3, atol=2e-3)
    assert found.mpps.tolist() == [0.5] * 4
    assert len(crops.values) == len(crops.mpps) == 3
    assert all(0.4 <= mpp <= 0.6 for mpp in crops.mpps)


def test_an_images_crops_do_not_depend_on_the_others(
    data: LabelledSet, table: FeatureCache
) -> None:
    alone = FeatureCache(table.network, RECIPE, crops_per_image=3).crops(data.images[7])
    torch.testing.assert_close(alone.mpps, table.crops(data.images[7]).mpps)
    torch.testing.assert_close(
        alone.values, table.crops(data.images[7]).values, rtol=2e-3, atol=2e-3
    )
    assert not torch.equal(alone.mpps, table.crops(data.images[8]).mpps)


def test_heads_learn_and_are_the_same_every_time(data: LabelledSet, table: FeatureCache) -> None:
    def trained() -> tuple[SmseNetwork, list[float]]:
        network = fresh_heads(table.network, RECIPE, 2)
        losses = [step.loss for step in train_heads(network, table, data, range(20), RECIPE)]
        return network, losses

    (first, losses), (second, again) = trained(), trained()
    assert losses == again
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
    for name, weight in first.embedding_head.named_parameters():
        assert torch.equal(weight, second.embedding_head.get_parameter(name))
    logits = predict_from_features(first, table, data.images)
    labels = [image.label for image in data.images]
    assert roc_auc(labels, logits[:, 1] - logits[:, 0]) == 1


def test_training_heads_leaves_the_trunk_and_other_heads_alone(
    data: LabelledSet, table: FeatureCache
) -> None:
    before = {name: value.clone() for name, value in table.network.state_dict().items()}
    network = fresh_heads(table.network, RECIPE, 2)
    for _ in train_heads(network, table, data, range(20), RECIPE):
        pass
    assert network.trunk is table.network.trunk
    for name, value in table.network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_learner_goes_through_the_protocol(data: LabelledSet, table: FeatureCache) -> None:
    held_out = cross_validate(HeadLearner(table, RECIPE), data, 5)
    labels = [data.images[i].label for i in held_out.images]
    assert sorted(held_out.images) == list(range(20))
    assert roc_auc(labels, held_out.probabilities[:, 1]) > 0.9


def test_an_image_can_be_judged_at_any_one_scale(data: LabelledSet, table: FeatureCache) -> None:
    image = data.images[0]
    found = table.evaluation_features(at_scale(image, 0.4))
    tiles = np.stack(evaluation_tiles(read_pixels(image), at_scale(image, 0.4), 64))
    with torch.inference_mode():
        own = table.network.features(torch.from_numpy(tiles).permute(0, 3, 1, 2))
    torch.testing.assert_close(found.values.float(), own, rtol=2e-3, atol=2e-3)
    assert found.mpps.tolist() == [0.4] * len(tiles)


def test_nothing_is_read_before_it_is_needed(tmp_path: Path, table: FeatureCache) -> None:
    missing = LabelledImage(tmp_path / "gone.png", 0, "x", 0.5, (0.4, 0.6), "here", "here")
    with pytest.raises(Exception, match=r"gone\.png"):
        table.evaluation_features(missing)
