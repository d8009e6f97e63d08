"""Everything that changes while a network trains."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn

from napari_smse.errors import TrainingError
from napari_smse.models.smse_cnn import SmseCnn
from napari_smse.models.smse_network import NetworkOutput, SmseNetwork
from napari_smse.training.checkpoint import Saved, fill_optimiser, flat_optimiser
from napari_smse.training.data_parallel import DataParallel
from napari_smse.training.objective import LossParts, batch_loss, feature_drift, with_noise
from napari_smse.training.parameter_groups import set_trainable
from napari_smse.training.recipe import Recipe
from napari_smse.training.seeding import generator_of

Weights = dict[str, Tensor]
_NO_SCORE: Final = (-math.inf, -math.inf)


class TrainingState:
    """A network, its optimiser, and what is remembered of the steps so far.

    Batch normalisation keeps the statistics the network came with, and dropout is off: batches
    that are balanced by case and class are not what the network will meet.

    Parameters
    ----------
    network
        Trained in place.
    recipe
        How.
    joint
        This process's part of the batches.

    Attributes
    ----------
    step
        How many are done.
    checked
        The step of the last look at the validation cases.
    best_step
        The step whose weights did best there; 0 before the first look.
    figures
        Of the last look.
    finished
        Nothing is left to do.
    whole
        False while a step is being taken, or other weights are being judged.
    """

    def __init__(self, network: SmseNetwork | SmseCnn, recipe: Recipe, joint: DataParallel) -> None:
        self.network, self.recipe, self._joint = network, recipe, joint
        self.optimiser = torch.optim.AdamW(
            set_trainable(network, recipe), weight_decay=recipe.weight_decay
        )
        self.trainable = {n: p for n, p in network.named_parameters() if p.requires_grad}
        self._average: Weights = {}
        self._best: Weights = {}
        self._teacher: nn.Module | None = None
        self._first_trunk: Weights = {}
        self._best_score = _NO_SCORE
        self._stale = 0
        self.step = self.checked = self.best_step = 0
        self.figures: dict[str, float] | None = None
        self.finished = False
        self.whole = True

    def start(self) -> None:
        """Take the network as it is now for the start: of the average, and of distillation."""
        self.network.eval()
        if self.recipe.ema_decay:
            self._average = _copied(self.trainable)
        if self.recipe.trunk_share < 1:
            trunk = {n: p for n, p in self.trainable.items() if n.startswith("trunk.")}
            self._first_trunk = _copied(trunk)
        if self.recipe.distillation_weight and self.recipe.trainable != "head":
            if not isinstance(self.network, SmseNetwork):
                raise TrainingError(
                    "Distillation keeps a trunk near its start, and this network has none: set "
                    "distillation_weight to 0."
                )
            self._teacher = copy.deepcopy(self.network.trunk).requires_grad_(False).eval()

    @property
    def learning_rate(self) -> float:
        """Learning rate of the heads in the step to come."""
        return self.recipe.learning_rate * learning_rate_factor(self.step, self.recipe)

    def learn(self, images: Tensor, labels: Tensor) -> LossParts:
        """Take one step.

        Parameters
        ----------
        images
            This process's share of the joint batch, RGB 0..255, on the device.
        labels
            Of the whole joint batch, on the device.

        Raises
        ------
        TrainingError
            The loss is not a number any more.
        """
        parts = self._losses(images, labels)
        if not math.isfinite(float(parts.total.detach())):
            raise TrainingError(
                f"The loss is not a number any more at step {self.step + 1}: use a lower "
                "learning rate, or float32."
            )
        self.whole = False
        self.optimiser.zero_grad()
        parts.total.backward()  # type: ignore[no-untyped-call]
        self._joint.sum_gradients(self.trainable.values())
        if self.recipe.clip_norm:
            nn.utils.clip_grad_norm_(self.trainable.values(), self.recipe.clip_norm)
        for group in self.optimiser.param_groups:
            group["lr"] = group["base"] * learning_rate_factor(self.step, self.recipe)
        self.optimiser.step()
        self._follow()
        self.step += 1
        self.whole = True
        return LossParts(*(part.detach() for part in parts))

    def note(self, figures: Mapping[str, float]) -> None:
        """Remember a look at the validation cases, and the weights if they did best so far.

        The AUC decides, and the cross-entropy where it is the same or cannot be told.
        """
        area = figures["auc"]
        score = (-math.inf if math.isnan(area) else area, -figures["loss"])
        self.figures, self.checked = dict(figures), self.step
        if score > self._best_score:
            self._best_score, self.best_step, self._stale = score, self.step, 0
            self._best = self._final()
        else:
            self._stale += 1
            self.finished = bool(self.recipe.patience) and self._stale >= self.recipe.patience

    @contextmanager
    def averaged(self) -> Iterator[nn.Module]:
        """Give the network for a while the weights that it would have if it ended now."""
        own_weights = _copied(self.trainable)
        self.whole = False
        self._put(self._final())
        try:
            yield self.network
        finally:
            self._put(own_weights)
            self.whole = True

    def finish(self) -> None:
        """Give the network the best weights, or else those it has in the end."""
        self._put(self._best or self._final())
        self.network.eval()

    def _final(self) -> Weights:
        """Return the averaged weights, or else the last; of the trunk, as much as it keeps.

        References
        ----------
        Wortsman et al.: Robust fine-tuning of zero-shot models, CVPR 2022.
        """
        weights = _copied(self._average or self.trainable)
        for name, first in self._first_trunk.items():
            weights[name] = first.lerp(weights[name], self.recipe.trunk_share)
        return weights

    def saved(self) -> Saved:
        """Return all that a training needs to go on from here."""
        tensors = {
            **{f"weights/{name}": tensor for name, tensor in self.trainable.items()},
            **{f"average/{name}": tensor for name, tensor in self._average.items()},
            **{f"best/{name}": tensor for name, tensor in self._best.items()},
            **flat_optimiser(self.optimiser, self._names),
        }
        facts = {
            "step": self.step,
            "checked": self.checked,
            "best_step": self.best_step,
            # JSON has neither infinity nor NaN.
            "best_score": [part if math.isfinite(part) else None for part in self._best_score],
            "figures": None if self.figures is None else _without_nan(self.figures),
            "stale": self._stale,
            "finished": self.finished,
        }
        return Saved(tensors, facts)

    def go_on_from(self, saved: Saved) -> None:
        """Become what `saved` returned; `start` must have been called with the first weights."""
        kinds: dict[str, Weights] = {"weights": {}, "average": {}, "best": {}}
        for key, tensor in saved.tensors.items():
            kind, name = key.split("/", 1)
            if kind in kinds:
                kinds[kind][name] = torch.empty_like(self.trainable[name].data).copy_(tensor)
        self._put(kinds["weights"])
        self._average, self._best = kinds["average"], kinds["best"]
        fill_optimiser(self.optimiser, self._names, saved.tensors)
        facts: dict[str, Any] = saved.facts
        self.step, self.checked = facts["step"], facts["checked"]
        self.best_step, self._stale = facts["best_step"], facts["stale"]
        auc, loss = (-math.inf if part is None else part for part in facts["best_score"])
        self._best_score = (auc, loss)
        self.finished = facts["finished"]
        if facts["figures"] is not None:
            self.figures = {
                name: math.nan if value is None else value
                for name, value in facts["figures"].items()
            }

    @property
    def _names(self) -> dict[Tensor, str]:
        return {parameter: name for name, parameter in self.trainable.items()}

    def _losses(self, images: Tensor, labels: Tensor) -> LossParts:
        size = len(labels)
        drift = None
        with torch.autocast(
            images.device.type, torch.bfloat16, enabled=self.recipe.precision == "bfloat16"
        ):
            if isinstance(self.network, SmseNetwork):
                inputs = self.network.trunk_inputs(images)
                features = self.network.trunk(*inputs)
                output = self.network.head(self._with_noise(features, size))
                if self._teacher is not None:
                    with torch.no_grad():
                        start = self._teacher(*inputs)
                    drift = feature_drift(features, start)
            else:
                output = self.network(images)
        if drift is not None:
            drift = self._joint.gather(drift, size)
        joint = NetworkOutput(*(self._joint.gather(part, size) for part in output))
        generator = generator_of(self.recipe.seed, self.step)
        return batch_loss(joint, labels, self.recipe, generator=generator, drift=drift)

    def _with_noise(self, features: Tensor, size: int) -> Tensor:
        """Return the own features with their part of the noise that the whole batch gets."""
        recipe = self.recipe
        if not recipe.feature_noise:
            return features
        batch = self._joint.gather(features, size)
        noisy = with_noise(batch, recipe.feature_noise, seed=recipe.seed, step=self.step)
        return noisy[self._joint.share(size)]

    def _follow(self) -> None:
        # At the beginning a full decay would remember little but the start.
        decay = min(self.recipe.ema_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, mean in self._average.items():
                mean.lerp_(self.trainable[name], 1 - decay)

    def _put(self, weights: Weights) -> None:
        with torch.no_grad():
            for name, tensor in weights.items():
                self.trainable[name].copy_(tensor)


def learning_rate_factor(step: int, recipe: Recipe) -> float:
    r"""Return which share of the highest learning rate a step has, counted from 0.

    It rises linearly over the warm-up, then follows :math:`\frac12 (1 + \cos \pi t)`.

    References
    ----------
    Loshchilov and Hutter: SGDR, ICLR 2017 (without restarts).
    """
    if step < recipe.warm_up:
        return (step + 1) / (recipe.warm_up + 1)
    done = (step - recipe.warm_up) / max(1, recipe.steps - recipe.warm_up)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def _without_nan(figures: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in figures.items()}


def _copied(weights: Mapping[str, Tensor]) -> Weights:
    return {name: tensor.detach().clone() for name, tensor in weights.items()}
