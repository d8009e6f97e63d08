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
from napari_smse.evaluation.evaluate import leaked_cases, match_classes
from napari_smse.finetuning.assessment import Assessment, assess, separation, share_right
from napari_smse.finetuning.best_heads import BestHeads
from napari_smse.finetuning.embedding_heads import (
    EmbeddingHeads,
    initialise_heads,
    train_embedding_heads,
    tuned_network,
)
from napari_smse.finetuning.feature_heads import (
    FeatureHeads,
    feature_tiles,
    initialise_feature_heads,
    usual_crops,
)
from napari_smse.finetuning.hard_triplets import hard_triplets
from napari_smse.finetuning.ood_update import updated_ood_reference
from napari_smse.finetuning.pair_constraints import PairConstraints
from napari_smse.finetuning.result import Doing, FineTuneProgress, FineTuneResult, HeldOutCheck
from napari_smse.finetuning.setup import fine_tune_recipe, split_for_fine_tuning
from napari_smse.models import Model
from napari_smse.models.smse_network import SmseNetwork
from napari_smse.similarity.exemplars import exemplars_of
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
    "fine_tune_recipe",
    "usual_crops",
]

HELD_OUT_SHARE: Final = 0.25
_HEAD_LOOKS: Final = 40
_TRUNK_LOOKS: Final = 5
_LOOK_IMAGES: Final = 64
_FEW: Final = 10
FLATTERS: Final = (
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
    share
        Of the cases to hold out.
    keep
        How much it weighs that the model's exemplars stay told apart (heads only; else the
        recipe's distillation guards what it knows).
    device
        For torch.
    known
        What the model said of some of the images before, as a run stored it.
    seconds
        To learn for at most; pauses between two words of `run` do not count.
    links
        Tiles that must be alike or differ (heads only).
    crops
        Of the heads: none to learn them from embeddings alone, as a run stores them; else how
        many augmented crops of each image to read, and to learn the embedding head anew from the
        trunk's features.
    table
        Features computed before, of as many crops; what is missing is added.
    exemplars
        Images that are to be among the exemplars of the tuned model, if learnt from.
    looks
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
    """

    def __init__(
        self,
        model: Model,
        labelled_set: LabelledSet,
        recipe: Recipe,
        *,
        share: float = HELD_OUT_SHARE,
        keep: float = 1.0,
        device: str = "cpu",
        known: Mapping[LabelledImage, TileOutputs] | None = None,
        seconds: float | None = None,
        links: PairConstraints | None = None,
        exemplars: Collection[LabelledImage] = (),
        crops: int = 0,
        table: FeatureCache | None = None,
        looks: Mapping[LabelledImage, NDArray[np.float32]] | None = None,
    ) -> None:
        self._network = _tunable(model)
        self.model, self.crops, self._table = model, crops, table
        self.recipe = recipe.model_copy(update={"tile_px": model.card.tile_px})
        self.labelled_set = _known_classes(labelled_set, model)
        self.labelled_set.require_classes()
        self.training, self.testing, by_region = split_for_fine_tuning(
            self.labelled_set, share, recipe.seed
        )
        self.warnings = [FLATTERS] if by_region else []
        self.warnings += self._told()
        self._keep, self._device, self._known, self._looks = keep, device, known, looks
        self._exemplars = exemplars_of(model)
        self._seconds, self._stopped = seconds, threading.Event()
        self._links = self._learnt_from(links)
        self._always = {i for i, one in enumerate(self.labelled_set.images) if one in exemplars}
        if links is not None and recipe.learns != "head":
            self.warnings.append(
                "Links between tiles are heard only where the heads alone learn: they were left "
                "out."
            )

    def _told(self) -> list[str]:
        """Return what the user must know of the data."""
        model, told = self.model, []
        if len(self.training) < _FEW:
            told.append(
                f"Only {len(self.training)} tiles or images are left to learn from beside those "
                "held out: add more; regions further apart lose fewer."
            )
        if not self.same_classes:
            told.append(
                f"Model {model.card.name} tells {', '.join(model.card.classes)} apart: it gets a "
                f"new class head for {', '.join(self.labelled_set.classes)}, and 'before' is the "
                "nearest class mean in its embedding."
            )
        if seen := leaked_cases(self.labelled_set.select(self.testing), model.card):
            told.append(
                f"{len(seen)} of the held-out cases are among those that model {model.card.name} "
                "was trained on: its figures 'before' are too good, and the difference too small."
            )
        return told

    def _learnt_from(self, links: PairConstraints | None) -> PairConstraints | None:
        """Return the links between tiles that are not held out: others would teach the answers."""
        if links is None:
            return None
        kept = links.without(set(self.labelled_set.select(self.testing)))
        dropped = len(links) - (0 if kept is None else len(kept))
        if dropped:
            self.warnings.append(
                f"{dropped} links lead to tiles that are held out, and were left out so that the "
                "figures stay honest."
            )
        return kept

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
            learnt = self.labelled_set.select(self.training)
            looks = yield from updated_ood_reference(self.model, learnt, self._looks)
            return replace(tuned, looks=looks)
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise TrainingError(
                f"Not enough memory on {self._device} to fine-tune: learn the heads only, choose "
                "another device, or close other programs."
            ) from error

    def _run(self) -> Generator[FineTuneProgress, None, FineTuneResult]:
        if self.recipe.learns == "head" and self.crops:
            return (yield from self._tune_on_features())
        network = self._network.to(self._device)
        learnt, _ = yield from self._embed(network, self.training, "reading")
        held, _ = yield from self._embed(network, self.testing, "reading")
        self._network.cpu()
        if self.recipe.learns == "head":
            heads = initialise_heads(self._network, learnt, self.model.card.classes)
            return (yield from self._tune(heads, learnt, learnt, held))
        return (yield from self._train_trunk(learnt, held))

    def _tune_on_features(self) -> Generator[FineTuneProgress, None, FineTuneResult]:
        data = self.labelled_set
        table = self._table or FeatureCache(
            self._network, self.recipe, crops_per_image=self.crops, device=self._device
        )
        images = len(self.training) + len(self.testing)
        for done, _ in table.fill(data.select(self.training)):
            yield FineTuneProgress("reading", done, images)
        for number, image in enumerate(data.select(self.testing), start=1):
            table.judged(image)
            yield FineTuneProgress("reading", len(self.training) + number, images)
        self._network.cpu()
        tiles = feature_tiles(table, data, self.training, crops=True)
        learnt = feature_tiles(table, data, self.training, crops=False)
        held = feature_tiles(table, data, self.testing, crops=False)
        heads = initialise_feature_heads(self._network, tiles, self.model.card.classes)
        return (yield from self._tune(heads, tiles, learnt, held))

    def _tune(
        self,
        heads: EmbeddingHeads,
        tiles: EmbeddedTiles,
        learnt: EmbeddedTiles,
        held: EmbeddedTiles,
    ) -> Generator[FineTuneProgress, None, FineTuneResult]:
        """Tune heads on tiles, and judge them by those held out and the unchanged ones learnt."""
        old, stored = self._exemplars, not isinstance(heads, FeatureHeads)
        before = _judged(heads, held, learnt)
        right = self._right(heads.logits(old.embeddings)) if old and stored else None
        links = None if self._links is None else self._links.held()
        best, done = BestHeads(heads, tiles, self._links), 0
        best.note()
        running = train_embedding_heads(
            heads, tiles, self.recipe, exemplars=old, keep=self._keep, links=self._links
        )
        for step in self._until_stopped(running):
            done, look = step.step, None
            if self._is_time(done, _HEAD_LOOKS):
                best.note()
                moved = held.moved(heads.embed(held.embeddings))
                look = self._look(done, moved, heads.logits(held.embeddings))
            yield FineTuneProgress("learning", done, step.steps, step.loss, look)
        if done < self.recipe.steps:
            best.note()
            best.restore()
        after = _judged(heads, held, learnt)
        learnt = learnt.moved(heads.embed(learnt.embeddings))
        exemplars, old_right = choose_exemplars(learnt, always=self._always), None
        # From embeddings alone nobody can tell what another embedding head makes of exemplars.
        if old is not None and stored:
            now = self._right(heads.logits(old.embeddings))
            old_right = None if right is None or now is None else (right, now)
            exemplars = exemplars.joined(old, heads.embed(old.embeddings))
        held_now = None
        if self._links is not None and links is not None:
            held_now = links, self._links.moved(heads).held(), len(self._links)
        return FineTuneResult(
            tuned_network(self._network, heads),
            before,
            after,
            exemplars,
            old_right,
            heads if stored else None,
            done,
            tuple(hard_triplets(learnt)),
            held_now,
        )

    def _train_trunk(
        self, learnt: EmbeddedTiles, held: EmbeddedTiles
    ) -> Generator[FineTuneProgress, None, FineTuneResult]:
        heads = initialise_heads(self._network, learnt, self.model.card.classes)
        before = assess(held, heads.logits(held.embeddings), learnt)
        network = copy.deepcopy(self._network)
        network.class_head = heads.class_head
        running = train(
            network, self.labelled_set, self.recipe, training=self.training, device=self._device
        )
        done = 0
        for step in self._until_stopped(running):
            done = step.step
            yield FineTuneProgress("learning", done, step.steps, step.loss)
            if self._is_time(done, _TRUNK_LOOKS) and 0 < done < step.steps:
                # Reading and embedding takes long, so few are looked at.
                some = self.testing[:: 1 + (len(self.testing) - 1) // _LOOK_IMAGES]
                look = self._look(done, *(yield from self._embed(network, some, "checking")))
                yield FineTuneProgress("learning", done, step.steps, step.loss, look)
        learnt, _ = yield from self._embed(network, self.training, "checking")
        held, logits = yield from self._embed(network, self.testing, "checking")
        after = assess(held, logits, learnt)
        # Only pixels, which are not kept, could say where the old exemplars lie now.
        network, exemplars = network.cpu().eval(), choose_exemplars(learnt, always=self._always)
        hardest = tuple(hard_triplets(learnt))
        return FineTuneResult(network, before, after, exemplars, None, None, done, hardest)

    def _embed(
        self, network: SmseNetwork, indices: Sequence[int], doing: Doing
    ) -> Generator[FineTuneProgress, None, tuple[EmbeddedTiles, Tensor]]:
        # What is known is what the model said, before it learnt.
        known = self._known if doing == "reading" else None
        running = embed_images(network, self.labelled_set, indices, self.model.card.tile_px, known)
        while True:
            try:
                done = next(running)
            except StopIteration as end:
                found: tuple[EmbeddedTiles, Tensor] = end.value
                return found
            yield FineTuneProgress(doing, done, len(indices))

    def _until_stopped(self, running: Iterator[_Step]) -> Iterator[_Step]:
        spent, began = 0.0, time.monotonic()
        for step in running:
            spent += time.monotonic() - began
            yield step
            if self._stopped.is_set() or (self._seconds is not None and spent >= self._seconds):
                return
            began = time.monotonic()

    def _look(self, step: int, held: EmbeddedTiles, logits: Tensor) -> HeldOutCheck:
        images, means = held.image_means(logits)
        labels = torch.tensor([self.labelled_set.images[i].label for i in images])
        return HeldOutCheck(step, share_right(means, labels), separation(held))

    def _is_time(self, step: int, looks: int) -> bool:
        return step % max(1, self.recipe.steps // looks) == 0

    def _right(self, logits: Tensor) -> float | None:
        """Return the share of the model's exemplars called right, if that can be told."""
        assert self._exemplars is not None
        if not self.same_classes or self._exemplars.classes != self.labelled_set.classes:
            return None
        return share_right(logits, self._exemplars.labels)


def _judged(heads: EmbeddingHeads, held: EmbeddedTiles, learnt: EmbeddedTiles) -> Assessment:
    moved, known = (one.moved(heads.embed(one.embeddings)) for one in (held, learnt))
    return assess(moved, heads.logits(held.embeddings), known)


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
