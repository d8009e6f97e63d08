"""Training of the heads alone, on features computed once: seconds instead of hours."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet
from napari_smse.models.smse_network import SmseNetwork, initialise_from_features
from napari_smse.training.feature_cache import FeatureCache
from napari_smse.training.objective import batch_loss, with_noise
from napari_smse.training.prediction import Predictor
from napari_smse.training.recipe import Recipe
from napari_smse.training.sampler import BalancedBatchSampler, Crop
from napari_smse.training.seeding import generator_of

_START_ROWS = 6000


class HeadStep(NamedTuple):
    """One step of a training of the heads."""

    step: int
    steps: int
    loss: float


def train_heads(
    network: SmseNetwork,
    table: FeatureCache,
    labelled_set: LabelledSet,
    training: Sequence[int],
    recipe: Recipe,
) -> Iterator[HeadStep]:
    """Train embedding and class head in place, and yield after every step.

    At the end the network holds the running average of its weights, if the recipe wants one.
    The trunk must be the one the table was computed with. Steps are few and cannot overfit
    by much, so no validation cases are needed.

    Parameters
    ----------
    network
        Heads and, unused here, trunk.
    table
        Features of the images.
    labelled_set, training
        The images, and which of them to learn from.
    recipe
        Losses, rates, steps, batches.

    Raises
    ------
    TrainingError
        A class has no image to learn from.
    """
    images = labelled_set.images
    batches = BalancedBatchSampler(
        images,
        training,
        classes=len(labelled_set.classes),
        cases_per_class=recipe.cases_per_class,
        crops_per_case=recipe.crops_per_case,
        mpp_limits=recipe.mpp_limits,
        seed=recipe.seed,
    )
    labels = torch.from_numpy(batches.labels)
    if recipe.pca_start:
        _start(network, [table.crops(images[i]).values for i in training], recipe.seed)
    heads = torch.nn.ModuleList([network.embedding_head, network.class_head]).train()
    optimiser = torch.optim.AdamW(
        heads.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    average = copy.deepcopy(heads)
    for step in range(recipe.steps):
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * _schedule(step, recipe)
        features = torch.stack([_row(table, images, crop) for crop in batches.draw(step)])
        generator = generator_of(recipe.seed, step)
        noise = recipe.feature_noise
        seen = with_noise(features.float(), noise, seed=recipe.seed, step=step)
        parts = batch_loss(network.head(seen), labels, recipe, generator=generator)
        optimiser.zero_grad()
        parts.total.backward()  # type: ignore[no-untyped-call]
        if recipe.clip_norm:
            torch.nn.utils.clip_grad_norm_(heads.parameters(), recipe.clip_norm)
        optimiser.step()
        # At the beginning a full decay would only remember the start.
        _follow(average, heads, min(recipe.ema_decay, step / (step + 10)))
        yield HeadStep(step + 1, recipe.steps, float(parts.total.detach()))
    if recipe.ema_decay:
        heads.load_state_dict(average.state_dict())
    heads.eval()


class HeadLearner:
    """Learns heads on a feature table: a learner for the protocols.

    Validation cases are learnt from too, as nothing is chosen by them.

    Parameters
    ----------
    table
        Shared by all folds.
    recipe
        How.

    Attributes
    ----------
    network
        What was trained last.
    """

    def __init__(self, table: FeatureCache, recipe: Recipe) -> None:
        self._table, self._recipe = table, recipe
        self.network = table.network

    def __call__(
        self,
        labelled_set: LabelledSet,
        training: Sequence[int],
        validation: Sequence[int],
        seed: int,
    ) -> Predictor:
        """Train fresh heads, and return what predicts with them."""
        recipe = self._recipe.model_copy(update={"seed": seed})
        network = self.network = fresh_heads(self._table.network, recipe, len(labelled_set.classes))
        every = [*training, *validation]
        for _ in train_heads(network, self._table, labelled_set, every, recipe):
            pass
        return lambda images: predict_from_features(network, self._table, images)


def fresh_heads(network: SmseNetwork, recipe: Recipe, classes: int) -> SmseNetwork:
    """Return a network with the same trunk (shared, not copied) and new heads."""
    fresh = copy.copy(network)
    fresh._modules = dict(network._modules)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        fresh.embedding_head = torch.nn.Linear(network.trunk.features, recipe.embedding_dim)
        fresh.class_head = torch.nn.Linear(recipe.embedding_dim, classes)
    return fresh


def predict_from_features(
    network: SmseNetwork, table: FeatureCache, images: Sequence[LabelledImage]
) -> Tensor:
    """Return logits ``(n, classes)``, the mean over each image's evaluation tiles."""
    network.eval()
    with torch.inference_mode():
        tiles = (table.evaluation_features(image).values.float() for image in images)
        return torch.stack([network.head(tile).logits.mean(dim=0) for tile in tiles])


def _row(table: FeatureCache, images: Sequence[LabelledImage], crop: Crop) -> Tensor:
    """Return the features of the image's crop whose scale is nearest to the one drawn."""
    crops = table.crops(images[crop.image])
    return crops.values[int((crops.mpps / crop.mpp).log().abs().argmin())]


def _start(network: SmseNetwork, crops: Sequence[Tensor], seed: int) -> None:
    features = torch.cat(list(crops)).float()
    sample = torch.randperm(len(features), generator=generator_of(seed))[:_START_ROWS]
    with torch.random.fork_rng(devices=[]):
        # The principal components are found from a random start.
        torch.manual_seed(seed)
        initialise_from_features(network, features[sample])


def _schedule(step: int, recipe: Recipe) -> float:
    """Return the fraction of the highest learning rate: a linear warm-up, then a cosine to 0."""
    if step < recipe.warm_up:
        return (step + 1) / (recipe.warm_up + 1)
    done = (step - recipe.warm_up) / max(1, recipe.steps - recipe.warm_up)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def _follow(average: torch.nn.Module, heads: torch.nn.Module, decay: float) -> None:
    with torch.no_grad():
        for mean, now in zip(average.parameters(), heads.parameters(), strict=True):
            mean.lerp_(now, 1 - decay)
