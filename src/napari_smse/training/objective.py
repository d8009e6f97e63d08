"""What a training minimises: similarity, classification and what is added, weighted."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from napari_smse.losses.contrastive import contrastive_loss
from napari_smse.losses.focal import focal_loss, reinforced_focal_loss
from napari_smse.losses.miners import Mining, mine_pairs, random_triplets
from napari_smse.losses.triplet import mined_triplet_loss, triplet_loss
from napari_smse.models.smse_network import NetworkOutput
from napari_smse.training.recipe import Recipe
from napari_smse.training.seeding import generator_of

_NOISE_STREAM = 1
"""Beside the draws of the losses, which have the same seed and step."""


class LossParts(NamedTuple):
    """A batch's loss, and what it is the sum of, each unweighted."""

    total: Tensor
    similarity: Tensor
    classification: Tensor
    distillation: Tensor
    consistency: Tensor


def batch_loss(
    output: NetworkOutput,
    labels: Tensor,
    recipe: Recipe,
    *,
    generator: torch.Generator,
    drift: Tensor | None = None,
) -> LossParts:
    r"""Return the loss of a batch and its parts.

    .. math:: w_s L_{similarity} + L_{classification} + w_d L_{distillation}
        + w_c L_{consistency}

    With the weights of the paper, 1, 0 and 0, this is the sum of Sun et al.

    Parameters
    ----------
    output
        Of the whole (joint) batch: pairs and triplets are chosen within it.
    labels
        ``(n,)`` class indices.
    recipe
        Losses, weights, margin, mining.
    generator
        On the CPU, for what mining draws; seeded by seed and step, the draw can be repeated.
    drift
        ``(n,)``, `feature_drift` of each crop.

    References
    ----------
    Sun et al., arXiv 2107.01063 (the sum of the first two, one to one).
    """
    similarity = similarity_part(output.embedding, labels, recipe, generator)
    classification = classification_part(output.logits, labels, recipe)
    distillation = output.logits.new_zeros(()) if drift is None else drift.mean()
    consistency = output.logits.new_zeros(())
    total = recipe.similarity_weight * similarity + classification
    if drift is not None:
        total = total + recipe.distillation_weight * distillation
    if recipe.consistency_weight:
        consistency = place_contrast(output.embedding, recipe.crops_per_case)
        total = total + recipe.consistency_weight * consistency
    return LossParts(total, similarity, classification, distillation, consistency)


def similarity_part(
    embedding: Tensor, labels: Tensor, recipe: Recipe, generator: torch.Generator
) -> Tensor:
    """Return the recipe's similarity loss: `contrastive_loss` or `triplet_loss` of what is mined.

    Parameters
    ----------
    embedding
        ``(n, d)``.
    labels
        ``(n,)`` class indices.
    recipe
        Loss, margin, mining.
    generator
        On the CPU; without mining, each anchor's partners are drawn from it.
    """
    if recipe.similarity == "none":
        return embedding.sum() * 0
    if recipe.similarity == "triplet" and recipe.mining is not Mining.NONE:
        return mined_triplet_loss(embedding, labels, recipe.mining, recipe.margin)
    # Drawn on the CPU, so that every device draws the same.
    detached = embedding.detach().cpu(), labels.cpu()
    if recipe.similarity == "pair":
        chosen = mine_pairs(*detached, recipe.mining, generator)
        first, second, same = (part.to(embedding.device) for part in chosen)
        return contrastive_loss(embedding[first], embedding[second], same, recipe.margin)
    chosen = random_triplets(detached[1], generator)
    anchor, near, far = (part.to(embedding.device) for part in chosen)
    return triplet_loss(embedding[anchor], embedding[near], embedding[far], recipe.margin)


def classification_part(logits: Tensor, labels: Tensor, recipe: Recipe) -> Tensor:
    """Return the recipe's classification loss of logits ``(n, classes)``.

    Batches hold the classes alike, so all weigh the same: the reinforced focal loss's r is the
    share of the first class in what is fed, one half.
    """
    if recipe.classification == "cross-entropy":
        return functional.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
    if recipe.classification == "focal":
        return focal_loss(logits, labels, recipe.focus)
    even = torch.full((logits.shape[1],), 0.5, device=logits.device)
    return reinforced_focal_loss(logits, labels, even, gamma=recipe.focus)


def place_contrast(embedding: Tensor, crops: int, temperature: float = 0.1) -> Tensor:
    r"""Return how badly the crops of a place are told from all others of the batch.

    .. math:: -\frac{1}{|P|} \sum_{(i, j) \in P} \log \frac{e^{z_i z_j / \tau}}
        {\sum_{k \ne i} e^{z_i z_k / \tau}}

    over the pairs P of crops of one place. Only pulled together, all places of a class would become
    one, and nothing could be found again by its embedding.

    Parameters
    ----------
    embedding
        ``(places * crops, d)``, each of length 1, place by place.
    crops
        Of each place; of a single one there is nothing to compare, which is 0.
    temperature
        Of the softmax.

    References
    ----------
    Khosla et al.: Supervised contrastive learning, NeurIPS 2020 (its outer sum), with each place
    as a class.
    """
    number = len(embedding)
    if crops < 2 or number <= crops:
        return embedding.sum() * 0
    itself = torch.eye(number, dtype=torch.bool, device=embedding.device)
    similarity = (embedding.float() @ embedding.float().T / temperature).masked_fill(
        itself, -torch.inf
    )
    place = torch.arange(number, device=embedding.device) // crops
    pairs = (place[:, None] == place[None, :]) & ~itself
    return (torch.logsumexp(similarity, dim=1)[:, None] - similarity)[pairs].mean()


def feature_drift(features: Tensor, start: Tensor) -> Tensor:
    r"""Return how far the trunk's features of each crop are from those it started with.

    .. math:: \lVert f - f_0 \rVert^2 / \lVert f_0 \rVert^2

    so that 0 is unchanged and 1 is as far off as having none.

    Parameters
    ----------
    features, start
        ``(n, features)`` now and of the trunk as it started; no gradient flows into `start`.

    References
    ----------
    Feature distillation in the way of Romero et al., FitNets, ICLR 2015, with the start as
    the teacher, as in Li and Hoiem, Learning without Forgetting, ECCV 2016.
    """
    start = start.detach().float()
    apart = (features.float() - start).square().sum(dim=1)
    return apart / start.square().sum(dim=1).clamp(min=1e-12)


def with_noise(features: Tensor, strength: float, *, seed: int, step: int) -> Tensor:
    """Return features with normal noise.

    Parameters
    ----------
    features
        ``(n, features)`` of a batch.
    strength
        Standard deviation of the noise, in those of each feature over the batch; 0 leaves the
        features as they are.
    seed, step
        That the draws depend on.
    """
    if not strength:
        return features
    drawn = torch.randn(features.shape, generator=generator_of(seed, step, _NOISE_STREAM))
    spread = features.detach().std(dim=0, keepdim=True)
    return features + strength * spread * drawn.to(features)
