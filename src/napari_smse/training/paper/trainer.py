"""The paper's own configuration, as far as its published code and logs show."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.datasets.pixels import ImageCache
from napari_smse.datasets.splits import shared_cases
from napari_smse.errors import TrainingError
from napari_smse.losses.contrastive import contrastive_loss
from napari_smse.losses.focal import focal_loss, reinforced_focal_loss
from napari_smse.losses.triplet import triplet_loss
from napari_smse.models.smse_cnn import SmseCnn
from napari_smse.models.smse_network import NetworkOutput
from napari_smse.training.batch_loader import load_batches, tile_maker
from napari_smse.training.checkpoint import (
    CHECKPOINT_NAME,
    TrainingFolder,
    fill_optimiser,
    flat_optimiser,
    training_signature,
)
from napari_smse.training.objective import LossParts
from napari_smse.training.paper.recipe import (
    PaperEpoch,
    PaperProgress,
    PaperRecipe,
    best_epoch,
)
from napari_smse.training.paper.sampler import PaperBatch, PaperSampler
from napari_smse.training.prediction import held_out_figures, predict_some
from napari_smse.training.recipe import Recipe
from napari_smse.training.training_log import TrainingLog

__all__ = ["PaperEpoch", "PaperProgress", "PaperRecipe", "best_epoch", "train_paper"]

_log = logging.getLogger(__name__)


def train_paper(
    network: SmseCnn,
    labelled_set: LabelledSet,
    recipe: PaperRecipe,
    *,
    training: Sequence[int],
    validation: Sequence[int] = (),
    test: Sequence[int] = (),
    folder: Path | None = None,
    device: str = "cpu",
) -> Iterator[PaperProgress]:
    """Train the paper's network as the paper did, and yield after every step and every epoch.

    At the end it holds the weights of the epoch that is best on the validation cases, or
    the last. The authors kept the epoch that is best on the *test* fold; to report that too, give
    the test images: their logits after each epoch choose nothing here (`best_epoch`).

    Parameters
    ----------
    network
        Trained in place, from scratch.
    labelled_set
        The images; whole frames are fed, at any magnification.
    recipe
        How to train.
    training, validation, test
        Indices into the images, no case in two of them.
    folder
        For a checkpoint after each epoch and the logs; a stopped training goes on from there, and
        hands out the epochs before once more.
    device
        For torch.

    Raises
    ------
    TrainingError
        A case is on two sides, there are too few images, or the folder is another training's.
    DataError
        An image cannot be read.
    """
    for side, name in ((validation, "validation"), (test, "test")):
        if shared := shared_cases(labelled_set.images, training, side):
            raise TrainingError(
                f"{', '.join(shared[:3])} would be both training and {name}: divide by case."
            )
    if shared := shared_cases(labelled_set.images, validation, test):
        raise TrainingError(
            f"{', '.join(shared[:3])} would be both validation and test: divide by case."
        )
    run = _PaperRun(network, labelled_set, recipe, training, validation, test, device)
    return run.epochs(folder)


class _PaperRun:
    """One training of the paper's network."""

    def __init__(
        self,
        network: SmseCnn,
        labelled_set: LabelledSet,
        recipe: PaperRecipe,
        training: Sequence[int],
        validation: Sequence[int],
        test: Sequence[int],
        device: str,
    ) -> None:
        self._images, self._recipe = labelled_set.images, recipe
        self._training, self._validation, self._test = training, validation, test
        self._network, self._device = network.to(device), torch.device(device)
        self._draws = PaperSampler(
            self._images, training, recipe.similarity, recipe.batch, recipe.seed
        )
        shares = np.bincount([self._images[i].label for i in training], minlength=2)
        if recipe.classification == "reinforced focal" and len(shares) != 2:
            raise TrainingError("The reinforced focal loss is for two classes: use focal.")
        # A class weighs as much as the other is frequent.
        self._beta = torch.tensor(1 - shares / shares.sum(), dtype=torch.float32, device=device)
        self._optimiser = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
        self._names: dict[Tensor, str] = {
            parameter: name for name, parameter in network.named_parameters()
        }
        self._cache = ImageCache()
        self._done: list[PaperEpoch] = []
        self._losses = LossParts(*(torch.tensor(float("nan")) for _ in LossParts._fields))
        self._began, self._taken = time.monotonic(), 0

    def epochs(self, path: Path | None) -> Iterator[PaperProgress]:
        folder = None if path is None else TrainingFolder(path, self._signature())
        if folder is not None:
            self._go_on(folder)
        for number, epoch in enumerate(self._done, start=1):
            yield self._progress(number * self._draws.steps_per_epoch, epoch)
        step = len(self._done) * self._draws.steps_per_epoch
        log = None if folder is None else TrainingLog(folder.path, step, step)
        try:
            while len(self._done) < self._recipe.epochs:
                yield from self._epoch(folder, log)
        finally:
            if log is not None:
                log.close()
        if self._validation:
            self._network.load_state_dict(self._done[self._best()].weights)
        self._network.eval()

    def _epoch(
        self, folder: TrainingFolder | None, log: TrainingLog | None
    ) -> Iterator[PaperProgress]:
        recipe, each = self._recipe, self._draws.steps_per_epoch
        first = len(self._done) * each
        learning_rate = recipe.learning_rate * recipe.decay ** (
            len(self._done) // recipe.decay_every
        )
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate
        frame = tile_maker(
            self._images, Recipe(colour=recipe.colour), self._cache, SmseCnn.input_size
        )
        steps = range(first, first + each)
        for batch in load_batches(
            self._draws, frame, seed=recipe.seed, steps=steps, threads=recipe.threads
        ):
            self._learn(batch.images.to(self._device), self._draws.plan(batch.step))
            self._taken += 1
            if log is not None:
                log.write_step(batch.step + 1, {**self._named_losses(), "rate": learning_rate})
            yield self._progress(batch.step + 1)
        yield from self._close_epoch(first + each, folder, log)

    def _close_epoch(
        self, step: int, folder: TrainingFolder | None, log: TrainingLog | None
    ) -> Iterator[PaperProgress]:
        logits: list[Tensor | None] = []
        for side in (self._validation, self._test):
            found: list[Tensor] = []
            images = [self._images[i] for i in side]
            for part in predict_some(self._network, images, read=self._cache.read):
                found.append(part)
                yield self._progress(step)
            logits.append(torch.cat(found) if found else None)
        weights = {k: v.detach().cpu().clone() for k, v in self._network.state_dict().items()}
        epoch = PaperEpoch(len(self._done) + 1, logits[0], logits[1], weights)
        self._done.append(epoch)
        if folder is not None:
            self._save(folder, epoch)
        progress = self._progress(step, epoch)
        if log is not None and progress.held_out is not None:
            log.write_held_out(step, progress.held_out)
        yield progress

    def _learn(self, images: Tensor, batch: PaperBatch) -> None:
        self._network.train()
        output = self._network(images)
        parts = self._loss(output, batch)
        if not torch.isfinite(parts.total):
            raise TrainingError("The loss is not a number any more: use a lower learning rate.")
        self._optimiser.zero_grad()
        parts.total.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._losses = LossParts(*(part.detach() for part in parts))

    def _loss(self, output: NetworkOutput, batch: PaperBatch) -> LossParts:
        recipe, number = self._recipe, len(batch.anchor)
        anchor, *partners = torch.split(output.embedding, number)
        if recipe.similarity == "triplet":
            similarity = triplet_loss(anchor, partners[0], partners[1], recipe.margin)
        elif recipe.similarity == "pair":
            same = torch.from_numpy(batch.same).to(self._device)
            similarity = contrastive_loss(anchor, partners[0], same, recipe.margin)
        else:
            similarity = anchor.sum() * 0
        labels = torch.from_numpy(self._draws.labels[batch.anchor]).to(self._device)
        logits = output.logits[:number]
        if recipe.classification == "reinforced focal":
            named = reinforced_focal_loss(logits, labels, self._beta, gamma=recipe.focus)
        else:
            named = focal_loss(logits, labels, recipe.focus)
        none = similarity.new_zeros(())
        return LossParts(similarity + named, similarity, named, none, none)

    def _best(self) -> int:
        found = [epoch.validation_logits for epoch in self._done]
        known = [logits for logits in found if logits is not None]
        return best_epoch(known, [self._images[i].label for i in self._validation])

    def _progress(self, step: int, epoch: PaperEpoch | None = None) -> PaperProgress:
        steps = self._draws.steps_per_epoch * self._recipe.epochs
        figures = None
        if self._done and (logits := self._done[-1].validation_logits) is not None:
            figures = held_out_figures(logits, [self._images[i].label for i in self._validation])
        each = (time.monotonic() - self._began) / max(1, self._taken)
        best = self._best() + 1 if figures is not None else 0
        return PaperProgress(
            done=step,
            total=steps,
            loss=float(self._losses.total),
            similarity=float(self._losses.similarity),
            classification=float(self._losses.classification),
            learning_rate=float(self._optimiser.param_groups[0]["lr"]),
            held_out=figures,
            best_step=best * self._draws.steps_per_epoch,
            seconds_left=each * (steps - step) if self._taken else None,
            epoch=epoch,
        )

    def _named_losses(self) -> dict[str, float]:
        return {
            name if name != "total" else "loss": float(part)
            for name, part in self._losses._asdict().items()
        }

    def _signature(self) -> str:
        sides = [*self._validation, *self._test]
        known = training_signature(self._recipe, self._images, self._training, sides, self._network)
        return f"{known} {len(self._validation)}"

    def _save(self, folder: TrainingFolder, epoch: PaperEpoch) -> None:
        tensors = {f"weights/{name}": tensor for name, tensor in epoch.weights.items()}
        for name, logits in (("validation", epoch.validation_logits), ("test", epoch.test_logits)):
            if logits is not None:
                tensors[f"logits/{name}"] = logits
        facts = {"epoch": epoch.number}
        folder.save(tensors, facts, _epoch_name(epoch.number))
        folder.save(flat_optimiser(self._optimiser, self._names), facts, CHECKPOINT_NAME)

    def _go_on(self, folder: TrainingFolder) -> None:
        checkpoint = folder.load()
        if checkpoint is None:
            return
        for number in range(1, checkpoint.facts["epoch"] + 1):
            saved = folder.load(_epoch_name(number))
            if saved is None:
                raise TrainingError(
                    f"{folder.path / _epoch_name(number)} is missing: delete {folder.path} and "
                    "train anew."
                )
            weights = {
                name.removeprefix("weights/"): tensor
                for name, tensor in saved.tensors.items()
                if name.startswith("weights/")
            }
            logits = [saved.tensors.get(f"logits/{side}") for side in ("validation", "test")]
            self._done.append(PaperEpoch(number, logits[0], logits[1], weights))
        self._network.load_state_dict(self._done[-1].weights)
        fill_optimiser(self._optimiser, self._names, checkpoint.tensors)
        _log.info("going on after epoch %d of %d", len(self._done), self._recipe.epochs)


def _epoch_name(number: int) -> str:
    return f"epoch-{number:03d}.safetensors"
