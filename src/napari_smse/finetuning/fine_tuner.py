"""Fine-tuning of a model on labelled images: hold out, learn, compare before and after."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet
from napari_smse.errors import TrainingError
from napari_smse.finetuning.assessment import accuracy_of, assess, assess_heads, separation
from napari_smse.finetuning.best_heads import BestHeads
from napari_smse.finetuning.calibration import calibrated
from napari_smse.finetuning.embedding_heads import (
    EmbeddingHeads,
    initialise_heads,
    train_embedding_heads,
    tuned_network,
)
from napari_smse.finetuning.exemplar_tiles import (
    exemplar_accuracy,
    joined_exemplars,
    model_exemplars,
)
from napari_smse.finetuning.feature_heads import (
    FeatureHeads,
    feature_tiles,
    initialise_feature_heads,
)
from napari_smse.finetuning.hard_triplets import hard_triplets
from napari_smse.finetuning.ood_update import updated_ood_reference
from napari_smse.finetuning.pair_constraints import PairConstraints, training_constraints
from napari_smse.finetuning.result import (
    MESSAGES,
    FineTuneProgress,
    FineTuneResult,
    HeldOutCheck,
    Stage,
    in_stage,
    learning_progress,
)
from napari_smse.finetuning.setup import (
    data_warnings,
    one_a_place,
    split_for_fine_tuning,
    tunable_network,
    with_model_classes,
)
from napari_smse.models import Model
from napari_smse.models.smse_network import SmseNetwork
from napari_smse.progress import Task
from napari_smse.training.embeddings import EmbeddedTiles, embed_images
from napari_smse.training.exemplar_selection import choose_exemplars
from napari_smse.training.feature_cache import FeatureCache
from napari_smse.training.prediction import TileOutputs
from napari_smse.training.recipe import Recipe
from napari_smse.training.trainer import train

HELD_OUT_FRACTION: Final = 0.25
_HEAD_CHECKS: Final = 40
_TRUNK_CHECKS: Final = 5
_CHECK_IMAGES: Final = 64
SAME_CASE_WARNING: Final = (
    "Regions of the same cases are held out, not other cases: slides of others will do worse than "
    "these figures."
)

_Step = TypeVar("_Step")


class FineTuner:
    """One fine-tuning of a model; the model itself is not changed.

    Parameters
    ----------
    model
        What to start from.
    labelled_set
        What to learn from and to hold out of. Classes that the model knows keep its class head;
        with any other it gets a new one.
    recipe
        As `fine_tune_recipe` gives it.
    held_out_fraction
        Fraction of the cases to hold out.
    replay_weight
        Weight of the loss of the model's exemplars, which are replayed (heads only; else the
        recipe's distillation guards what the model knows).
    device
        For torch.
    precomputed
        Outputs of the model for some of the images, as a run stored them.
    seconds
        To learn for at most; pauses between two steps of `run` do not count.
    constraints
        Tiles that must be alike or differ (heads only).
    crops
        Of the heads: none to learn them from embeddings alone, as a run stores them; else how
        many augmented crops of each image to read, and to learn the embedding head anew from the
        trunk's features.
    table
        Features computed before, of as many crops; what is missing is added.
    exemplars
        Images that are to be among the exemplars of the tuned model, if learnt from.
    appearances
        Appearance features ``(k,)`` of some of the images, which are then not read for it.

    Attributes
    ----------
    training, testing
        Indices of the images learnt from, and held out.
    warnings
        What the user must know.

    Raises
    ------
    DataError
        A class is empty, or nothing of it can be held out.
    TrainingError
        The model is one whose heads cannot be tuned.
    BankError
        The exemplars beside the model cannot be read.
    """

    def __init__(
        self,
        model: Model,
        labelled_set: LabelledSet,
        recipe: Recipe,
        *,
        held_out_fraction: float = HELD_OUT_FRACTION,
        replay_weight: float = 1.0,
        device: str = "cpu",
        precomputed: Mapping[LabelledImage, TileOutputs] | None = None,
        seconds: float | None = None,
        constraints: PairConstraints | None = None,
        exemplars: Collection[LabelledImage] = (),
        crops: int = 0,
        table: FeatureCache | None = None,
        appearances: Mapping[LabelledImage, NDArray[np.float32]] | None = None,
    ) -> None:
        self._network = tunable_network(model, recipe.trainable)
        self.model, self.crops, self._table = model, crops, table
        self.recipe = recipe.model_copy(update={"tile_px": model.card.tile_px})
        self.labelled_set = with_model_classes(labelled_set, model)
        self.labelled_set.require_classes()
        self.training, held_out, by_region = split_for_fine_tuning(
            self.labelled_set, held_out_fraction, recipe.seed
        )
        self.testing = one_a_place(self.labelled_set, held_out)
        self.warnings = [SAME_CASE_WARNING] if by_region else []
        self.warnings += data_warnings(model, self.labelled_set, self.training, self.testing)
        self._replay_weight, self._device = replay_weight, device
        self._precomputed, self._appearances = precomputed, appearances
        self._exemplars = model_exemplars(model)
        self._seconds, self._stopped = seconds, threading.Event()
        self._constraints, warnings = training_constraints(
            constraints, self.labelled_set.select(held_out), recipe.trainable
        )
        self.warnings += warnings
        images = enumerate(self.labelled_set.images)
        self._always_exemplars = {i for i, image in images if image in exemplars}

    def stop(self) -> None:
        """End the learning after the step under way, and keep the best so far; from any thread.

        The best are the heads that call the tiles learnt from best, since the held-out ones must
        not choose; of a trunk that learns, what it is then.
        """
        self._stopped.set()

    def run(self) -> Task[FineTuneResult]:
        """Learn, yielding progress; return what came out.

        Raises
        ------
        DataError
            An image cannot be read.
        TrainingError
            The loss is not a number any more, or there is not enough memory.
        """
        try:
            tuned = calibrated((yield from self._run()), self.labelled_set)
            images = self.labelled_set.select(self.training)
            reference = yield from in_stage(
                "checking", updated_ood_reference(self.model, images, self._appearances)
            )
            return replace(tuned, ood_reference=reference)
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise TrainingError(
                f"Not enough memory on {self._device} to fine-tune: learn the heads only, choose "
                "another device, or close other programs."
            ) from error

    def _run(self) -> Task[FineTuneResult]:
        if self.recipe.trainable == "head" and self.crops:
            return (yield from self._tune_on_features())
        network = self._network.to(self._device)
        training_tiles, _ = yield from self._embed(network, self.training, "reading")
        held_out, _ = yield from self._embed(network, self.testing, "reading")
        self._network.cpu()
        if self.recipe.trainable == "head":
            heads = initialise_heads(self._network, training_tiles, self.model.card.classes)
            return (yield from self._tune(heads, training_tiles, training_tiles, held_out))
        return (yield from self._train_trunk(training_tiles, held_out))

    def _tune_on_features(self) -> Task[FineTuneResult]:
        data = self.labelled_set
        table = self._table or FeatureCache(
            self._network, self.recipe, crops_per_image=self.crops, device=self._device
        )
        images = len(self.training) + len(self.testing)
        for progress in table.fill(data.select(self.training)):
            yield FineTuneProgress(progress.done, images, MESSAGES["reading"])
        for number, image in enumerate(data.select(self.testing), start=1):
            table.evaluation_features(image)
            yield FineTuneProgress(len(self.training) + number, images, MESSAGES["reading"])
        self._network.cpu()
        tiles = feature_tiles(table, data, self.training, crops=True)
        training_tiles = feature_tiles(table, data, self.training, crops=False)
        held_out = feature_tiles(table, data, self.testing, crops=False)
        heads = initialise_feature_heads(self._network, tiles, self.model.card.classes)
        return (yield from self._tune(heads, tiles, training_tiles, held_out))

    def _tune(
        self,
        heads: EmbeddingHeads,
        tiles: EmbeddedTiles,
        training_tiles: EmbeddedTiles,
        held_out: EmbeddedTiles,
    ) -> Task[FineTuneResult]:
        """Tune heads on tiles, and assess them on those held out."""
        old, stored = self._exemplars, not isinstance(heads, FeatureHeads)
        before = assess_heads(heads, held_out, training_tiles)
        right = exemplar_accuracy(old, heads, self.labelled_set.classes) if old and stored else None
        constraints = None if self._constraints is None else self._constraints.satisfied()
        best, done = BestHeads(heads, tiles, self._constraints), 0
        best.update()
        running = train_embedding_heads(
            heads,
            tiles,
            self.recipe,
            exemplars=old,
            replay_weight=self._replay_weight,
            constraints=self._constraints,
        )
        for step in self._until_stopped(running):
            done, check = step.step, None
            if self._is_due(done, _HEAD_CHECKS):
                best.update()
                moved = held_out.moved(heads.embed(held_out.embeddings))
                check = self._check(done, moved, heads.logits(held_out.embeddings))
            yield learning_progress(done, step.steps, step.loss, check)
        if done < self.recipe.steps:
            best.update()
            best.restore()
        after = assess_heads(heads, held_out, training_tiles)
        training_tiles = training_tiles.moved(heads.embed(training_tiles.embeddings))
        exemplars = choose_exemplars(training_tiles, always=self._always_exemplars)
        accuracies = None
        # From embeddings alone nobody can tell what another embedding head makes of exemplars.
        if old is not None and stored:
            now = exemplar_accuracy(old, heads, self.labelled_set.classes)
            accuracies = None if right is None or now is None else (right, now)
            exemplars = joined_exemplars(old, exemplars, heads)
        satisfied = None
        if self._constraints is not None and constraints is not None:
            satisfied = (
                constraints,
                self._constraints.moved(heads.reembed).satisfied(),
                len(self._constraints),
            )
        return FineTuneResult(
            tuned_network(self._network, heads),
            before,
            after,
            exemplars,
            accuracies,
            heads if stored else None,
            done,
            tuple(hard_triplets(training_tiles)),
            satisfied,
        )

    def _train_trunk(
        self, training_tiles: EmbeddedTiles, held_out: EmbeddedTiles
    ) -> Task[FineTuneResult]:
        heads = initialise_heads(self._network, training_tiles, self.model.card.classes)
        before = assess(held_out, heads.logits(held_out.embeddings), training_tiles)
        network = copy.deepcopy(self._network)
        network.class_head = heads.class_head
        running = train(
            network, self.labelled_set, self.recipe, training=self.training, device=self._device
        )
        done = 0
        for step in self._until_stopped(running):
            done = step.done
            yield learning_progress(done, step.total, step.loss)
            if self._is_due(done, _TRUNK_CHECKS) and 0 < done < step.total:
                # Reading and embedding takes long, so few are looked at.
                sample = self.testing[:: 1 + (len(self.testing) - 1) // _CHECK_IMAGES]
                check = self._check(done, *(yield from self._embed(network, sample, "checking")))
                yield learning_progress(done, step.total, step.loss, check)
        training_tiles, _ = yield from self._embed(network, self.training, "checking")
        held_out, logits = yield from self._embed(network, self.testing, "checking")
        after = assess(held_out, logits, training_tiles)
        # Only pixels, which are not kept, could say where the old exemplars lie now.
        network = network.cpu().eval()
        exemplars = choose_exemplars(training_tiles, always=self._always_exemplars)
        triplets = tuple(hard_triplets(training_tiles))
        return FineTuneResult(network, before, after, exemplars, None, None, done, triplets)

    def _embed(
        self, network: SmseNetwork, indices: Sequence[int], stage: Stage
    ) -> Task[tuple[EmbeddedTiles, Tensor]]:
        # What is known is what the model said, before it learnt.
        precomputed = self._precomputed if stage == "reading" else None
        task = embed_images(
            network, self.labelled_set, indices, self.model.card.tile_px, precomputed
        )
        return in_stage(stage, task)

    def _until_stopped(self, running: Iterator[_Step]) -> Iterator[_Step]:
        learning_time, started = 0.0, time.monotonic()
        for step in running:
            learning_time += time.monotonic() - started
            yield step
            if self._stopped.is_set() or (
                self._seconds is not None and learning_time >= self._seconds
            ):
                return
            started = time.monotonic()

    def _check(self, step: int, held_out: EmbeddedTiles, logits: Tensor) -> HeldOutCheck:
        images, means = held_out.image_means(logits)
        labels = torch.tensor([self.labelled_set.images[i].label for i in images])
        return HeldOutCheck(step, accuracy_of(means, labels), separation(held_out))

    def _is_due(self, step: int, checks: int) -> bool:
        return step % max(1, self.recipe.steps // checks) == 0
