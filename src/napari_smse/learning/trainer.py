"""Training of the last stages and the heads on cached activations."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_smse.learning.activations import Activations, Tail
from napari_smse.network.focal_loss import focal_loss
from napari_smse.network.miners import Mining, mine_triplets, random_pairs
from napari_smse.network.output import NetworkOutput
from napari_smse.network.pair_loss import pair_loss
from napari_smse.network.triplet_loss import triplet_loss

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes
    ----------
    similarity
        Similarity loss, added one to one to the classification loss.
    gamma
        Focus of the focal loss; 0 is cross-entropy.
    mining, margin
        Of the similarity loss, in squared distance for triplets.
    train_trunk
        Train the tail's trunk stages too, not only the heads.
    steps, rate, trunk_rate, weight_decay
        Of AdamW with a cosine schedule.
    """

    similarity: Literal["none", "pair", "triplet"] = "triplet"
    gamma: float = 2.0
    mining: Mining = Mining.SEMI_HARD
    margin: float = 0.2
    train_trunk: bool = True
    steps: int = 200
    rate: float = 1e-3
    trunk_rate: float = 1e-4
    weight_decay: float = 1e-2


def similarity_loss(embedding: Tensor, labels: Tensor, recipe: Recipe) -> Tensor:
    """Return the recipe's similarity loss of a batch."""
    if recipe.similarity == "none":
        return embedding.sum() * 0
    if recipe.similarity == "pair":
        first, second, same = random_pairs(labels)
        return pair_loss(embedding[first], embedding[second], same, recipe.margin)
    anchor, near, far = mine_triplets(embedding, labels, recipe.mining, recipe.margin)
    return triplet_loss(embedding[anchor], embedding[near], embedding[far], recipe.margin)


def train_tail(
    tail: Tail,
    activations: Activations,
    labels: Tensor,
    batches: Iterable[NDArray[np.int64]],
    recipe: Recipe,
) -> list[float]:
    """Train the tail's heads, and its stages if the recipe says so; return the losses.

    Batch normalisation keeps ImageNet's statistics: batches that are balanced by case are not
    what the network will meet.

    Parameters
    ----------
    tail
        To train in place.
    activations
        Early activations.
    labels
        ``(crops,)`` class index of each crop.
    batches
        Which crops to learn from.
    recipe
        How.
    """
    tail.eval()
    optimiser = _optimiser(tail, recipe)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.steps)
    losses = []
    for step, batch in zip(range(recipe.steps), batches, strict=False):
        values, truth = activations.values[batch].float(), labels[batch]
        output: NetworkOutput = tail(values)
        loss = similarity_loss(output.embedding, truth, recipe)
        loss = loss + focal_loss(output.logits, truth, recipe.gamma)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
        if step % 50 == 0:
            _log.info("step %d of %d: loss %.3f", step, recipe.steps, losses[-1])
    return losses


def predict(tail: Tail, activations: Activations, rows: Tensor, size: int = 256) -> NetworkOutput:
    """Return the outputs of some crops."""
    tail.eval()
    with torch.inference_mode():
        found = [tail(activations.values[part].float()) for part in torch.split(rows, size)]
    return NetworkOutput(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def _optimiser(tail: Tail, recipe: Recipe) -> torch.optim.Optimizer:
    for parameter in tail.parameters():
        parameter.requires_grad_(False)
    heads: list[nn.Module] = [tail.network.embedding_head, tail.network.class_head]
    groups = [{"params": _thawed(heads), "lr": recipe.rate}]
    if recipe.train_trunk:
        groups.append({"params": _thawed([tail.late]), "lr": recipe.trunk_rate})
    return torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)


def _thawed(modules: list[nn.Module]) -> list[nn.Parameter]:
    parameters = [parameter for module in modules for parameter in module.parameters()]
    for parameter in parameters:
        parameter.requires_grad_(True)
    return parameters
