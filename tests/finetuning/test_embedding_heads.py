"""Heads tuned on stored embeddings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_smse.errors import TrainingError
from napari_smse.finetuning.embedding_heads import (
    initialise_heads,
    train_embedding_heads,
    tuned_network,
)
from napari_smse.finetuning.setup import fine_tune_recipe
from napari_smse.training.embeddings import EmbeddedTiles
from support.embeddings import DIM, NAMES, as_bank, clouds
from support.training import mini_network


def right(logits: torch.Tensor, tiles: EmbeddedTiles) -> float:
    return float((logits.argmax(dim=1) == tiles.labels).float().mean())


@pytest.mark.parametrize("similarity", ["pair", "triplet", "none"])
def test_tuning_learns_what_unseen_tiles_show(similarity: str) -> None:
    tiles, unseen = clouds(0, 200), clouds(1, 400)
    heads = initialise_heads(mini_network(embedding_dim=DIM), tiles, NAMES)
    before = right(heads.logits(unseen.embeddings), unseen)
    steps = list(
        train_embedding_heads(
            heads, tiles, fine_tune_recipe(similarity, steps=150, learning_rate=1e-2)
        )
    )
    assert [step.step for step in steps] == list(range(1, 151))
    assert np.mean([one.loss for one in steps[-10:]]) < np.mean([one.loss for one in steps[:10]])
    assert right(heads.logits(unseen.embeddings), unseen) > max(0.75, before + 0.1)


def test_the_same_seed_gives_the_same_heads_and_the_model_is_not_touched() -> None:
    tiles, network = clouds(0), mini_network(embedding_dim=DIM)
    held = {name: value.clone() for name, value in network.state_dict().items()}

    def tuned(seed: int) -> torch.Tensor:
        heads = initialise_heads(network, tiles, NAMES)
        for _ in train_embedding_heads(
            heads, tiles, fine_tune_recipe("triplet", steps=5, seed=seed)
        ):
            pass
        return heads.logits(tiles.embeddings)

    assert torch.equal(tuned(1), tuned(1))
    assert not torch.equal(tuned(1), tuned(2))
    for name, value in network.state_dict().items():
        assert torch.equal(value, held[name]), name


def test_untouched_heads_say_what_the_model_says() -> None:
    network, tiles = mini_network(embedding_dim=DIM), clouds(3)
    heads = initialise_heads(network, tiles, NAMES)
    torch.testing.assert_close(heads.embed(tiles.embeddings), tiles.embeddings)
    torch.testing.assert_close(
        heads.logits(tiles.embeddings), network.class_head(tiles.embeddings).detach()
    )


def test_folded_into_the_network_the_heads_say_the_same_of_pixels() -> None:
    network = mini_network(embedding_dim=DIM)
    images = torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        stored = network(images).embedding.clone()
    tiles = replace(clouds(0, 6), embeddings=stored)
    heads = initialise_heads(network, tiles, NAMES)
    for _ in train_embedding_heads(
        heads, tiles, fine_tune_recipe("triplet", steps=30, learning_rate=1e-2)
    ):
        pass
    with torch.inference_mode():
        whole = tuned_network(network, heads)(images)
    torch.testing.assert_close(whole.embedding, heads.embed(stored), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(whole.logits, heads.logits(stored), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(whole.embedding, stored, atol=1e-2)


def test_what_the_model_knew_is_kept_if_that_weighs() -> None:
    """New tiles differ along another axis, so learning them alone would forget the old ones."""
    old, new = clouds(5, 300, axis=1), clouds(6, 60, axis=0)
    network = mini_network(embedding_dim=DIM)
    start = initialise_heads(network, old, NAMES)
    for _ in train_embedding_heads(
        start, old, fine_tune_recipe("none", steps=200, learning_rate=1e-2)
    ):
        pass
    network.class_head.load_state_dict(start.class_head.state_dict())
    old = old.moved(start.embed(old.embeddings))

    def still_right(keep: float) -> float:
        heads = initialise_heads(network, new, NAMES)
        recipe = fine_tune_recipe("triplet", steps=300, learning_rate=1e-2)
        for _ in train_embedding_heads(
            heads, new, recipe, exemplars=as_bank(old), replay_weight=keep
        ):
            pass
        return right(heads.logits(old.embeddings), old)

    assert still_right(1) > still_right(0) + 0.1


def test_other_classes_get_a_head_of_their_means_and_exemplars_stay_where_they_were() -> None:
    tiles = clouds(0, 60, classes=("fat", "nerve", "gland"))
    old, network = clouds(7), mini_network(embedding_dim=DIM)
    heads = initialise_heads(network, tiles, NAMES)
    assert heads.logits(tiles.embeddings).shape == (60, 3)
    assert right(heads.logits(tiles.embeddings), tiles) > 0.5
    for _ in train_embedding_heads(
        heads,
        tiles,
        fine_tune_recipe("triplet", steps=100),
        exemplars=as_bank(old),
        replay_weight=50,
    ):
        pass
    alike = (heads.embed(old.embeddings) * old.embeddings).sum(dim=1)
    assert alike.mean() > 0.99


def test_a_class_without_tiles_and_a_loss_that_explodes_are_errors() -> None:
    tiles = replace(clouds(0), labels=torch.zeros(40, dtype=torch.int64))
    heads = initialise_heads(mini_network(embedding_dim=DIM), tiles, NAMES)
    with pytest.raises(TrainingError, match="no tile of malignant"):
        next(train_embedding_heads(heads, tiles, fine_tune_recipe()))
    tiles = clouds(0).moved(torch.full((40, DIM), float("nan")))
    with pytest.raises(TrainingError, match="lower learning rate"):
        next(train_embedding_heads(heads, tiles, fine_tune_recipe()))


def test_batches_hold_classes_and_cases_alike() -> None:
    from napari_smse.finetuning.embedding_heads import _BalancedRows

    tiles = clouds(0, 41, cases=4)
    # One case has most of the tiles.
    tiles = replace(
        tiles, cases=tuple("big" if i > 9 else case for i, case in enumerate(tiles.cases))
    )
    draws = _BalancedRows(tiles, fine_tune_recipe(cases_per_class=5, crops_per_case=4))
    rows = np.concatenate([draws.draw(step) for step in range(200)])
    labels = tiles.labels[rows]
    assert float(labels.float().mean()) == 0.5
    for label in (0, 1):
        names = [tiles.cases[row] for row in rows if tiles.labels[row] == label]
        there = {tiles.cases[i] for i in range(41) if tiles.labels[i] == label}
        assert names.count("big") / len(names) == pytest.approx(1 / len(there), abs=0.05)
    assert np.array_equal(draws.draw(3), draws.draw(3))
