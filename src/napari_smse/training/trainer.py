"""Training of a network on labelled images, step by step."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.datasets.pixels import ImageCache
from napari_smse.datasets.splits import shared_cases
from napari_smse.errors import TrainingError
from napari_smse.models.smse_cnn import SmseCnn
from napari_smse.models.smse_network import (
    SmseNetwork,
    initialise_from_features,
    load_stored_state,
    stored_state,
)
from napari_smse.progress import Progress
from napari_smse.training.batch_loader import Batch, load_batches, tile_maker
from napari_smse.training.checkpoint import (
    CHECKPOINT_NAME,
    START_NAME,
    TrainingFolder,
    training_signature,
)
from napari_smse.training.data_parallel import DataParallel, joined_processes
from napari_smse.training.objective import LossParts
from napari_smse.training.prediction import held_out_figures, predict_images, predict_some
from napari_smse.training.recipe import Recipe
from napari_smse.training.sampler import BalancedBatchSampler
from napari_smse.training.trainer_state import TrainingState
from napari_smse.training.training_log import TrainingLog

__all__ = ["TrainingProgress", "predict_images", "train"]

_log = logging.getLogger(__name__)
_SAVED_EVERY_S: Final = 60.0
# Steps no training reaches: their draws are for the start only.
_START_STEPS: Final = 1 << 40


@dataclass(frozen=True)
class TrainingProgress(Progress):
    """How far a training is, in steps (epochs of the paper's); early stopping may end it before.

    Attributes
    ----------
    loss, similarity, classification
        Of the last step: the total, and its main parts unweighted; NaN before the first.
    learning_rate
        Learning rate of the heads.
    held_out
        AUC, accuracy and loss on the validation cases when they were last looked at.
    best_step
        The step that did best there; 0 before the first look.
    """

    loss: float = math.nan
    similarity: float = math.nan
    classification: float = math.nan
    learning_rate: float = 0.0
    held_out: Mapping[str, float] | None = None
    best_step: int = 0


def train(
    network: SmseNetwork | SmseCnn,
    labelled_set: LabelledSet,
    recipe: Recipe,
    *,
    training: Sequence[int],
    validation: Sequence[int] = (),
    folder: Path | None = None,
    device: str = "cpu",
) -> Iterator[TrainingProgress]:
    """Train a network in place, and yield after every step.

    At the end it holds the weights that did best on the validation cases; without any, the
    averaged ones if the recipe averages, else the last. An iterator that is closed before its end
    leaves a valid checkpoint in the folder.

    Started by `torchrun`, all processes compute one joint batch, and the first writes.

    Parameters
    ----------
    network
        As `new_network` gives it, or a model to go on with (then without ``pca_start``).
    labelled_set
        The images.
    recipe
        How to train.
    training, validation
        Indices of the images to learn from, and of those to choose the weights by.
    folder
        For the checkpoint and the logs. One that holds an unfinished training of the same recipe
        and images goes on exactly where that stopped.
    device
        For torch.

    Raises
    ------
    TrainingError
        There is nothing to learn from, a validation case is also a training case, the folder is
        another training's, or the loss is not a number any more.
    DataError
        An image cannot be read.
    """
    if not len(training):
        raise TrainingError("There is no image to learn from: choose some for training.")
    if shared := shared_cases(labelled_set.images, training, validation):
        raise TrainingError(
            f"{', '.join(shared[:3])} would be learnt from and choose the weights too: divide "
            "training and validation by case."
        )
    joint, device = joined_processes(device)
    run = _Run(network, labelled_set, recipe, training, validation, joint, device)
    return run.steps(folder)


def _layout(device: torch.device) -> torch.memory_format:
    """Return how images lie in memory where a step is fastest."""
    # On a CPU, gradients of depthwise convolutions are a fifth slower with the channels last.
    return torch.contiguous_format if device.type == "cpu" else torch.channels_last


class _Run:
    """One training in this process."""

    def __init__(
        self,
        network: SmseNetwork | SmseCnn,
        labelled_set: LabelledSet,
        recipe: Recipe,
        training: Sequence[int],
        validation: Sequence[int],
        joint: DataParallel,
        device: str,
    ) -> None:
        self._images, self._recipe, self._joint = labelled_set.images, recipe, joint
        self._training, self._validation = training, validation
        self._device = torch.device(device)
        self._network = network
        self._draws = BalancedBatchSampler(
            labelled_set.images,
            training,
            classes=len(labelled_set.classes),
            cases_per_class=recipe.cases_per_class,
            crops_per_case=recipe.crops_per_case,
            mpp_limits=recipe.mpp_limits,
            one_place=recipe.consistency_weight > 0,
            seed=recipe.seed,
        )
        self._share = joint.share(len(self._draws.labels))
        self._cache = ImageCache()
        network.to(self._device, memory_format=_layout(self._device))  # type: ignore[call-overload]
        self._labels = torch.from_numpy(self._draws.labels).to(self._device)
        self._state = TrainingState(network, recipe, joint)
        self._losses = [float("nan")] * len(LossParts._fields)
        self._began, self._first_step = time.monotonic(), 0

    def steps(self, path: Path | None) -> Iterator[TrainingProgress]:
        """Start or go on, take all steps, and leave the network with its final weights."""
        state = self._state
        folder = None if path is None else self._folder(path)
        for _ in self._begin(folder):
            yield self._progress()
        writes = folder if self._joint.is_writer else None
        log = None
        if writes is not None:
            log = TrainingLog(writes.path, state.step, state.checked)
        saved_at = time.monotonic()
        try:
            with closing(self._take_steps(log)) as taken:
                for _ in taken:
                    late = time.monotonic() - saved_at > _SAVED_EVERY_S
                    if writes is not None and state.whole and (late or self._at_a_mark()):
                        self._save(writes)
                        saved_at = time.monotonic()
                    yield self._progress()
        finally:
            if log is not None:
                log.close()
            if writes is not None and state.whole:
                self._save(writes)
        state.finish()
        if state.best_step:
            _log.info("the weights of step %d did best on the validation cases", state.best_step)
        yield self._progress()

    def _at_a_mark(self) -> bool:
        """Tell whether the validation cases were just looked at, or would have been."""
        if len(self._validation):
            return self._state.checked == self._state.step
        return self._state.step % self._recipe.validate_every == 0

    def _folder(self, path: Path) -> TrainingFolder:
        signature = training_signature(
            self._recipe, self._images, self._training, self._validation, self._network
        )
        return TrainingFolder(path, signature)

    def _begin(self, folder: TrainingFolder | None) -> Iterator[None]:
        """Load the start and the checkpoint, or make the start and save it."""
        state, network = self._state, self._network
        begun = None if folder is None else folder.load(START_NAME)
        saved = None if folder is None else folder.load(CHECKPOINT_NAME)
        done = -1 if begun is None else 0 if saved is None else saved.facts["step"]
        # All have looked before the first writes.
        self._joint.check_same(done, "how far the training is", self._device)
        if begun is not None:
            load_stored_state(network, begun.tensors)
        elif self._joint.is_writer:
            yield from self._start_heads()
        self._joint.copy_from_first(list(network.state_dict().values()))
        state.start()
        if folder is not None and begun is None and self._joint.is_writer:
            folder.save(
                stored_state(network),
                {"recipe": self._recipe.model_dump(by_alias=True)},
                START_NAME,
            )
        if begun is not None and saved is not None:
            state.go_on_from(saved)
            _log.info("going on from step %d of %d", state.step, self._recipe.steps)
        self._began, self._first_step = time.monotonic(), state.step

    def _start_heads(self) -> Iterator[None]:
        """Start the embedding from the trunk's features of training crops."""
        network, recipe = self._network, self._recipe
        if not recipe.pca_start or not isinstance(network, SmseNetwork):
            return
        if network.trunk.features < recipe.embedding_dim:
            _log.info("the embedding is longer than the features, and starts at random")
            return
        batches = max(1, -(-4 * recipe.embedding_dim // len(self._labels)))
        found = []
        network.eval()
        for batch in self._feed(range(_START_STEPS, _START_STEPS + batches), slice(None)):
            with torch.inference_mode():
                found.append(network.features(batch.images.to(self._device)).float().cpu())
            yield
        with torch.random.fork_rng(devices=[]):
            # The principal components are looked for from random directions.
            torch.manual_seed(recipe.seed)
            initialise_from_features(network, torch.cat(found).clone().to(self._device))

    def _take_steps(self, log: TrainingLog | None) -> Generator[None, None, None]:
        state, recipe = self._state, self._recipe
        left = range(state.step, state.step if state.finished else recipe.steps)
        with closing(self._feed(left, self._share)) as batches:
            for batch in batches:
                yield from self._validate(log)
                if state.finished:
                    return
                learning_rate = state.learning_rate
                parts = state.learn(batch.images.to(self._device), self._labels)
                self._losses = [float(part) for part in parts]
                if log is not None:
                    log.write_step(state.step, {**self._named_losses(), "rate": learning_rate})
                yield
        yield from self._validate(log)
        state.finished = True

    def _feed(self, steps: range, share: slice) -> Generator[Batch, None, None]:
        frame = self._network.input_size
        make = tile_maker(self._images, self._recipe, self._cache, frame)
        return load_batches(
            self._draws,
            make,
            seed=self._recipe.seed,
            steps=steps,
            share=share,
            threads=self._recipe.threads,
        )

    def _validate(self, log: TrainingLog | None) -> Iterator[None]:
        """Judge the validation cases, if it is time to."""
        state, every = self._state, self._recipe.validate_every
        due = state.step % every == 0 or state.step == self._recipe.steps
        if not len(self._validation) or not due or state.checked == state.step:
            return
        images = [self._images[i] for i in self._validation]
        figures: dict[str, float] = dict.fromkeys(("auc", "accuracy", "loss"), 0.0)
        if self._joint.is_writer:
            logits: list[Tensor] = []
            with state.averaged() as network:
                read = self._cache.read
                size = self._recipe.tile_px
                for part in predict_some(network, images, tile_px=size, read=read):
                    logits.append(part)
                    yield
            figures = dict(held_out_figures(torch.cat(logits), [image.label for image in images]))
        shared = torch.tensor(list(figures.values()), device=self._device)
        self._joint.copy_from_first([shared])
        figures = dict(zip(figures, shared.tolist(), strict=True))
        state.note(figures)
        if log is not None:
            log.write_held_out(state.step, figures)
        yield

    def _save(self, folder: TrainingFolder) -> None:
        folder.save(*self._state.saved(), CHECKPOINT_NAME)

    def _named_losses(self) -> dict[str, float]:
        return dict(zip(("loss", *LossParts._fields[1:]), self._losses, strict=True))

    def _progress(self) -> TrainingProgress:
        state = self._state
        taken = state.step - self._first_step
        left = None
        if taken:
            each = (time.monotonic() - self._began) / taken
            left = each * (self._recipe.steps - state.step)
        total, similarity, classification, *_ = self._losses
        return TrainingProgress(
            done=state.step,
            total=self._recipe.steps,
            loss=total,
            similarity=similarity,
            classification=classification,
            learning_rate=state.learning_rate,
            held_out=state.figures,
            best_step=state.best_step,
            seconds_left=0.0 if state.finished else left,
        )
