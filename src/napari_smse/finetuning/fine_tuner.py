"""Fine-tuning of a model on labelled images: hold out, learn, compare before and after."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet
from napari_smse.errors import DataError, TrainingError
from napari_smse.evaluation.evaluate import match_classes, seen_cases
from napari_smse.finetuning.assessment import Assessment, accuracy_of, assess, separation
from napari_smse.finetuning.best_heads import BestHeads
from napari_smse.finetuning.embedding_heads import (
    EmbeddingHeads,
    initialise_heads,
    train_embedding_heads,
    tuned_network,
)
from napari_smse.finetuning.feature_heads import (
    FeatureHeads,
    default_crops,
    feature_tiles,
    initialise_feature_heads,
)
from napari_smse.finetuning.hard_triplets import hard_triplets
from napari_smse.finetuning.ood_update import updated_ood_reference
from napari_smse.finetuning.pair_constraints import PairConstraints
from napari_smse.finetuning.result import Doing, FineTuneProgress, FineTuneResult, HeldOutCheck
from napari_smse.finetuning.setup import fine_tune_recipe, split_for_fine_tuning
from napari_smse.models import Model
from napari_smse.models.smse_network import SmseNetwork
from napari_smse.similarity.bank_file import bank_of_weights
from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.training.embeddings import EmbeddedTiles, embed_images
from napari_smse.training.exemplar_selection import choose_exemplars
from napari_smse.training.feature_cache import FeatureCache
from napari_smse.training.prediction import TileOutputs
from napari_smse.training.recipe import Recipe
from napari_smse.training.trainer import train

__all__ = [
    "FineTuneProgress",
    "FineTuneResult",
    "FineTuner",
    "HeldOutCheck",
    "default_crops",
    "fine_tune_recipe",
]

HELD_OUT_FRACTION: Final = 0.25
_HEAD_CHECKS: Final = 40
_TRUNK_CHECKS: Final = 5
_CHECK_IMAGES: Final = 64
_MIN_TRAINING_IMAGES: Final = 10
SAME_SLIDE_WARNING: Final = (
    "Regions of the same slide are held out, not another slide: slides from elsewhere will do "
    "worse than these figures."
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
        Of the cases to hold out.
    replay_weight
        How much it weighs that the model's exemplars stay told apart (heads only; else the
        recipe's distillation guards what it knows).
    device
        For torch.
    precomputed
        What the model said of some of the images before, as a run stored it.
    seconds
        To learn for at most; pauses between two words of `run` do not count.
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
        What some of the images look like, ``(k,)``; these are not read for it.

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
        self._network = _tunable(model)
        self.model, self.crops, self._table = model, crops, table
        self.recipe = recipe.model_copy(update={"tile_px": model.card.tile_px})
        self.labelled_set = _known_classes(labelled_set, model)
        self.labelled_set.require_classes()
        self.training, self.testing, by_region = split_for_fine_tuning(
            self.labelled_set, held_out_fraction, recipe.seed
        )
        self.warnings = [SAME_SLIDE_WARNING] if by_region else []
        self.warnings += self._data_warnings()
        self._replay_weight, self._device = replay_weight, device
        self._precomputed, self._appearances = precomputed, appearances
        self._exemplars = _exemplars_of(model)
        self._seconds, self._stopped = seconds, threading.Event()
        self._constraints = self._usable_constraints(constraints)
        self._always_exemplars = {
            i for i, image in enumerate(self.labelled_set.images) if image in exemplars
        }
        if constraints is not None and recipe.trainable != "head":
            self.warnings.append(
                "Links between tiles are heard only where the heads alone learn: they were left "
                "out."
            )

    def _data_warnings(self) -> list[str]:
        """Return what the user must know of the data."""
        model, warnings = self.model, []
        if len(self.training) < _MIN_TRAINING_IMAGES:
            warnings.append(
                f"Only {len(self.training)} tiles or images are left to learn from beside those "
                "held out: add more; regions further apart lose fewer."
            )
        if not self.same_classes:
            warnings.append(
                f"Model {model.card.name} tells {', '.join(model.card.classes)} apart: it gets a "
                f"new class head for {', '.join(self.labelled_set.classes)}, and 'before' is the "
                "nearest class mean in its embedding."
            )
        if seen := seen_cases(self.labelled_set.some(self.testing), model.card):
            warnings.append(
                f"{len(seen)} of the held-out cases are among those that model {model.card.name} "
                "was trained on: its figures 'before' are too good, and the difference too small."
            )
        return warnings

    def _usable_constraints(self, constraints: PairConstraints | None) -> PairConstraints | None:
        """Return the links between tiles that are not held out: others would teach the answers."""
        if constraints is None:
            return None
        usable = constraints.without(set(self.labelled_set.some(self.testing)))
        dropped = len(constraints) - (0 if usable is None else len(usable))
        if dropped:
            self.warnings.append(
                f"{dropped} links lead to tiles that are held out, and were left out so that the "
                "figures stay honest."
            )
        return usable

    @property
    def same_classes(self) -> bool:
        """Whether the model's classes are the images'."""
        return self.labelled_set.classes == self.model.card.classes

    def stop(self) -> None:
        """End the learning after the step under way, and keep the best so far; from any thread.

        The best are the heads that call the tiles learnt from best, since the held-out ones must
        not choose; of a trunk that learns, what it is then.
        """
        self._stopped.set()

    def run(self) -> Generator[FineTuneProgress, None, FineTuneResult]:
        """Learn, yielding progress; return what came out.

        Raises
        ------
        DataError
            An image cannot be read.
        TrainingError
            The loss is not a number any more, or there is not enough memory.
        """
        try:
            tuned = yield from self._run()
            learnt = self.labelled_set.some(self.training)
            reference = yield from updated_ood_reference(self.model, learnt, self._appearances)
            return replace(tuned, ood_reference=reference)
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise TrainingError(
                f"Not enough memory on {self._device} to fine-tune: learn the heads only, choose "
                "another device, or close other programs."
            ) from error

    def _run(self) -> Generator[FineTuneProgress, None, FineTuneResult]:
        if self.recipe.trainable == "head" and self.crops:
            return (yield from self._tune_on_features())
        network = self._network.to(self._device)
        learnt, _ = yield from self._embed(network, self.training, "reading")
        held_out, _ = yield from self._embed(network, self.testing, "reading")
        self._network.cpu()
        if self.recipe.trainable == "head":
            heads = initialise_heads(self._network, learnt, self.model.card.classes)
            return (yield from self._tune(heads, learnt, learnt, held_out))
        return (yield from self._train_trunk(learnt, held_out))

    def _tune_on_features(self) -> Generator[FineTuneProgress, None, FineTuneResult]:
        data = self.labelled_set
        table = self._table or FeatureCache(
            self._network, self.recipe, crops_per_image=self.crops, device=self._device
        )
        images = len(self.training) + len(self.testing)
        for done, _ in table.fill(data.some(self.training)):
            yield FineTuneProgress("reading", done, images)
        for number, image in enumerate(data.some(self.testing), start=1):
            table.judged(image)
            yield FineTuneProgress("reading", len(self.training) + number, images)
        self._network.cpu()
        tiles = feature_tiles(table, data, self.training, crops=True)
        learnt = feature_tiles(table, data, self.training, crops=False)
        held_out = feature_tiles(table, data, self.testing, crops=False)
        heads = initialise_feature_heads(self._network, tiles, self.model.card.classes)
        return (yield from self._tune(heads, tiles, learnt, held_out))

    def _tune(
        self,
        heads: EmbeddingHeads,
        tiles: EmbeddedTiles,
        learnt: EmbeddedTiles,
        held_out: EmbeddedTiles,
    ) -> Generator[FineTuneProgress, None, FineTuneResult]:
        """Tune heads on tiles, and judge them by those held out and the unchanged ones learnt."""
        old, stored = self._exemplars, not isinstance(heads, FeatureHeads)
        before = _assess_heads(heads, held_out, learnt)
        right = self._exemplar_accuracy(heads) if stored else None
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
            yield FineTuneProgress("learning", done, step.steps, step.loss, check)
        if done < self.recipe.steps:
            best.update()
            best.restore()
        after = _assess_heads(heads, held_out, learnt)
        learnt = learnt.moved(heads.embed(learnt.embeddings))
        exemplars, exemplar_accuracy = choose_exemplars(learnt, always=self._always_exemplars), None
        # From embeddings alone nobody can tell what another embedding head makes of exemplars.
        if old is not None and stored:
            now = self._exemplar_accuracy(heads)
            exemplar_accuracy = None if right is None or now is None else (right, now)
            exemplars = _joined(old, exemplars, heads)
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
            exemplar_accuracy,
            heads if stored else None,
            done,
            tuple(hard_triplets(learnt)),
            satisfied,
        )

    def _train_trunk(
        self, learnt: EmbeddedTiles, held_out: EmbeddedTiles
    ) -> Generator[FineTuneProgress, None, FineTuneResult]:
        heads = initialise_heads(self._network, learnt, self.model.card.classes)
        before = assess(held_out, heads.logits(held_out.embeddings), learnt)
        network = copy.deepcopy(self._network)
        network.class_head = heads.class_head
        running = train(
            network, self.labelled_set, self.recipe, training=self.training, device=self._device
        )
        done = 0
        for step in self._until_stopped(running):
            done = step.step
            yield FineTuneProgress("learning", done, step.steps, step.loss)
            if self._is_due(done, _TRUNK_CHECKS) and 0 < done < step.steps:
                # Reading and embedding takes long, so few are looked at.
                sample = self.testing[:: 1 + (len(self.testing) - 1) // _CHECK_IMAGES]
                check = self._check(done, *(yield from self._embed(network, sample, "checking")))
                yield FineTuneProgress("learning", done, step.steps, step.loss, check)
        learnt, _ = yield from self._embed(network, self.training, "checking")
        held_out, logits = yield from self._embed(network, self.testing, "checking")
        after = assess(held_out, logits, learnt)
        # Only pixels, which are not kept, could say where the old exemplars lie now.
        network = network.cpu().eval()
        exemplars = choose_exemplars(learnt, always=self._always_exemplars)
        hardest = tuple(hard_triplets(learnt))
        return FineTuneResult(network, before, after, exemplars, None, None, done, hardest)

    def _embed(
        self, network: SmseNetwork, indices: Sequence[int], doing: Doing
    ) -> Generator[FineTuneProgress, None, tuple[EmbeddedTiles, Tensor]]:
        # What is known is what the model said, before it learnt.
        precomputed = self._precomputed if doing == "reading" else None
        running = embed_images(
            network, self.labelled_set, indices, self.model.card.tile_px, precomputed
        )
        while True:
            try:
                done = next(running)
            except StopIteration as end:
                found: tuple[EmbeddedTiles, Tensor] = end.value
                return found
            yield FineTuneProgress(doing, done, len(indices))

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

    def _exemplar_accuracy(self, heads: EmbeddingHeads) -> float | None:
        """Return the share of the model's exemplars called right, if that can be told."""
        old = self._exemplars
        if old is None or not self.same_classes or old.classes != self.labelled_set.classes:
            return None
        logits = heads.logits(torch.from_numpy(old.embeddings))
        return accuracy_of(logits, torch.from_numpy(old.labels))


def _assess_heads(
    heads: EmbeddingHeads, held_out: EmbeddedTiles, learnt: EmbeddedTiles
) -> Assessment:
    moved, gallery = (tiles.moved(heads.embed(tiles.embeddings)) for tiles in (held_out, learnt))
    return assess(moved, heads.logits(held_out.embeddings), gallery)


def _exemplars_of(model: Model) -> ExemplarBank | None:
    """Return the exemplars of a model, if it has any to learn from."""
    bank = bank_of_weights(model.path, model.card.weights_sha256)
    # What is saved beside the tuned model holds no pixel, whatever lay beside this one.
    return bank.embeddings_only() if bank is not None and len(bank) else None


def _joined(old: ExemplarBank, new: ExemplarBank, heads: EmbeddingHeads) -> ExemplarBank:
    """Return the old exemplars where the heads embed them, and the new ones.

    Old ones of other classes are left out.
    """
    if old.classes != new.classes:
        return new
    embeddings = heads.embed(torch.from_numpy(old.embeddings)).numpy()
    return replace(old, embeddings=embeddings, model=new.model).joined(new)


def _tunable(model: Model) -> SmseNetwork:
    if isinstance(model.network, SmseNetwork):
        return model.network
    raise TrainingError(
        f"Model {model.card.name} takes whole images and cannot be fine-tuned on tiles: use the "
        "bundled one or one made by `napari-smse train`."
    )


def _known_classes(labelled_set: LabelledSet, model: Model) -> LabelledSet:
    """Return the images with the model's classes, if it knows all of theirs."""
    try:
        return match_classes(labelled_set, model.card)
    except DataError:
        if not labelled_set.images:
            raise
        return labelled_set
