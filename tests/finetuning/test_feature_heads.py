"""Heads tuned on the trunk's features."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from napari_smse.finetuning.embedding_heads import train_embedding_heads, tuned_network
from napari_smse.finetuning.feature_heads import (
    MAX_CROPS,
    default_crops,
    feature_tiles,
    initialise_feature_heads,
)
from napari_smse.finetuning.fine_tuner import FineTuner
from napari_smse.finetuning.pair_constraints import PairConstraints
from napari_smse.finetuning.result import FineTuneResult
from napari_smse.finetuning.saving import fine_tuned_card
from napari_smse.finetuning.setup import fine_tune_recipe
from napari_smse.metrics.classification import roc_auc
from napari_smse.models import SmseNetwork
from napari_smse.progress import run_task
from napari_smse.training.embeddings import EmbeddedTiles
from napari_smse.training.feature_cache import FeatureCache
from support.embeddings import NAMES, as_bank, clouds
from support.training import mini_model, mini_network, mini_set


@pytest.fixture
def network() -> SmseNetwork:
    return mini_network(embedding_dim=4)


def featured(network: SmseNetwork, seed: int = 0, tiles: int = 60) -> EmbeddedTiles:
    """Clouds in the space of the trunk's features, told apart where the embedding is blind."""
    found = clouds(seed, tiles)
    weight = network.embedding_head.weight.detach()
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(tiles, weight.shape[1], generator=generator)
    blind = torch.randn(weight.shape[1], generator=torch.Generator().manual_seed(99))
    blind -= torch.linalg.pinv(weight) @ (weight @ blind)
    return found.moved(features + 4 * found.labels[:, None] * functional.normalize(blind, dim=0))


def test_untouched_they_say_what_the_network_says(network: SmseNetwork) -> None:
    tiles = featured(network)
    heads = initialise_feature_heads(network, tiles, NAMES)
    with torch.no_grad():
        expected = network.head(tiles.embeddings)
    torch.testing.assert_close(heads.embed(tiles.embeddings), expected.embedding)
    torch.testing.assert_close(heads.logits(tiles.embeddings), expected.logits)


def test_they_learn_what_the_embedding_does_not_show(network: SmseNetwork) -> None:
    tiles, unseen = featured(network, 0, 200), featured(network, 1, 200)
    heads = initialise_feature_heads(network, tiles, NAMES)
    labels = unseen.labels.tolist()
    before = roc_auc(labels, heads.logits(unseen.embeddings).softmax(dim=1)[:, 1].numpy())
    for _ in train_embedding_heads(
        heads, tiles, fine_tune_recipe("triplet", steps=150, learning_rate=1e-2)
    ):
        pass
    after = roc_auc(labels, heads.logits(unseen.embeddings).softmax(dim=1)[:, 1].numpy())
    assert after > max(0.75, before + 0.2)


def test_folded_in_the_network_says_the_same(network: SmseNetwork) -> None:
    tiles = featured(network)
    heads = initialise_feature_heads(network, tiles, NAMES)
    for _ in train_embedding_heads(heads, tiles, fine_tune_recipe(steps=10, learning_rate=1e-2)):
        pass
    held = network.embedding_head.weight.clone()
    folded = tuned_network(network, heads)
    with torch.no_grad():
        torch.testing.assert_close(
            folded.head(tiles.embeddings).logits, heads.logits(tiles.embeddings)
        )
    assert torch.equal(network.embedding_head.weight, held)


def test_inputs_of_an_embedding_are_embedded_there(network: SmseNetwork) -> None:
    tiles = featured(network)
    heads = initialise_feature_heads(network, tiles, NAMES)
    places = functional.normalize(torch.randn(20, 4, generator=torch.Generator().manual_seed(5)))
    torch.testing.assert_close(heads.reembed(places), places, atol=1e-4, rtol=1e-4)


def test_exemplars_and_links_are_heard_where_only_embeddings_are_known(
    network: SmseNetwork,
) -> None:
    tiles, known = featured(network), clouds(7, 40)
    places = functional.normalize(known.embeddings[:, :4], dim=1)
    old = as_bank(known.moved(places))
    links = PairConstraints(places[:2], places[2:4], torch.tensor([True, True]))
    recipe = fine_tune_recipe(steps=60, learning_rate=1e-2)
    losses = []
    for keep in (0.0, 1.0):
        heads = initialise_feature_heads(network, tiles, NAMES)
        *_, last = train_embedding_heads(
            heads, tiles, recipe, exemplars=old, replay_weight=keep, constraints=links
        )
        found = heads.logits(heads.inputs_of(places))
        losses.append(float(functional.cross_entropy(found, known.labels)))
        assert last.pair_loss < 0.5
        assert len(links.moved(heads.reembed)) == 2
    assert losses[1] < losses[0]


def test_features_of_images_with_and_without_crops(tmp_path: Path, network: SmseNetwork) -> None:
    data = mini_set(tmp_path)
    recipe = fine_tune_recipe(tile_px=32)
    table = FeatureCache(network, recipe, crops_per_image=3)
    plain = feature_tiles(table, data, [0, 5], crops=False)
    every = feature_tiles(table, data, [0, 5], crops=True)
    assert len(every) == len(plain) + 6
    assert set(every.images.tolist()) == {0, 5}
    assert [data.images[i].label for i in every.images.tolist()] == every.labels.tolist()
    assert every.embeddings.shape[1] == network.embedding_head.in_features


def finished(tuning: FineTuner) -> FineTuneResult:
    return run_task(tuning.run())


@pytest.mark.parametrize("loss", ["pair", "triplet"])
def test_a_fine_tuning_on_features(tmp_path: Path, loss: str) -> None:
    model, data = mini_model(tmp_path / "models"), mini_set(tmp_path / "data", cases=6)
    recipe = fine_tune_recipe(loss, steps=400, learning_rate=0.02)
    tuning = FineTuner(model, data, recipe, crops=4)
    tuned = finished(tuning)
    assert tuned.heads is None
    assert tuned.exemplar_accuracy is None
    held = tuned.after.held_out
    labels = [data.images[i].label for i in held.images]
    assert roc_auc(labels, held.probabilities[:, 1]) > 0.9
    assert fine_tuned_card(tuning, tuned, "mine").recipe["crops an image"] == 4
    # What comes out says of the images themselves what was judged.
    judged = dict(zip(held.images.tolist(), held.logits, strict=True))
    from napari_smse.training.prediction import predict_images

    said = predict_images(tuned.network, data.select(list(judged)), tile_px=32)
    torch.testing.assert_close(said, torch.stack(list(judged.values())), atol=0.02, rtol=0.02)


def test_crops_are_as_many_as_a_minute_allows() -> None:
    assert default_crops(0) == default_crops(100) == MAX_CROPS
    assert default_crops(400) == 3
    assert default_crops(100_000) == 1
