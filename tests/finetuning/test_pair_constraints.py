"""Tiles that must be alike, or must differ."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import normalize

from napari_smse.finetuning.embedding_heads import EmbeddingHeads, train_embedding_heads
from napari_smse.finetuning.pair_constraints import PairConstraints
from napari_smse.finetuning.setup import fine_tune_recipe
from support.embeddings import DIM, clouds


def heads() -> EmbeddingHeads:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return EmbeddingHeads(nn.Linear(DIM, 2))


def links() -> PairConstraints:
    """Alike far apart, different near together: along axes that say nothing of the classes."""
    axis = torch.eye(DIM)
    noise = 0.05 * torch.randn(20, DIM, generator=torch.Generator().manual_seed(3))
    first = axis[[3] * 10 + [5] * 10] + noise
    second = axis[[4] * 10 + [5] * 10] - noise + 0.3 * axis[[4] * 10 + [6] * 10]
    alike = torch.arange(20) < 10
    return PairConstraints(normalize(first, dim=1), normalize(second, dim=1), alike)


def apart(one: PairConstraints) -> torch.Tensor:
    return (one.first - one.second).norm(dim=1)


def test_links_draw_together_and_push_apart_what_no_class_speaks_of() -> None:
    found, asked = heads(), links()
    assert asked.satisfied() == 0
    recipe = fine_tune_recipe("pair", steps=300, learning_rate=0.01)
    steps = list(train_embedding_heads(found, clouds(0), recipe, constraints=asked))
    assert steps[-1].pair_loss < 0.2 * steps[0].pair_loss
    after = asked.moved(found.reembed)
    assert after.satisfied() > 15
    assert (apart(after)[:10] < apart(asked)[:10]).all()
    assert (apart(after)[10:] > apart(asked)[10:]).all()


def test_links_weigh_as_much_as_asked() -> None:
    asked, recipe = links(), fine_tune_recipe(steps=3, learning_rate=0.01)
    plain, light, heavy = heads(), heads(), heads()
    list(train_embedding_heads(plain, clouds(0), recipe))
    list(train_embedding_heads(light, clouds(0), recipe, constraints=asked, constraint_weight=0.0))
    torch.testing.assert_close(light.matrix, plain.matrix)
    (once, *_), (thrice, *_) = (
        list(
            train_embedding_heads(
                one, clouds(0), recipe, constraints=asked, constraint_weight=weight
            )
        )
        for one, weight in ((heads(), 1.0), (heavy, 3.0))
    )
    assert thrice.pair_loss == once.pair_loss
    assert abs(thrice.loss - once.loss - 2 * once.pair_loss) < 1e-5
    assert not torch.allclose(heavy.matrix, plain.matrix)


def test_without_links_nothing_is_said_of_them() -> None:
    (step,) = train_embedding_heads(heads(), clouds(0), fine_tune_recipe(steps=1))
    assert step.pair_loss != step.pair_loss


def test_a_link_holds_within_half_the_distance_that_tells_apart() -> None:
    axis = torch.eye(2)
    near = normalize(axis[0] + 0.2 * axis[1], dim=0)
    pairs = PairConstraints(
        torch.stack([axis[0]] * 4),
        torch.stack([near, axis[1], near, axis[1]]),
        torch.tensor([True, True, False, False]),
    )
    assert pairs.satisfied() == 2
