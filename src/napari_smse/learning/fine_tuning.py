"""Fine-tuning of a model on labelled images: hold out, learn, compare before and after."""

from __future__ import annotations

import copy
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import ValidationError
from torch import Tensor

from napari_smse.errors import DataError, TrainingError
from napari_smse.learning.embedded_tiles import EmbeddedTiles, embed_images
from napari_smse.learning.evaluation import match_classes, seen_cases
from napari_smse.learning.exemplar_choice import choose_exemplars
from napari_smse.learning.head_tuning import TunedHeads, start_heads, tune_heads, tuned_network
from napari_smse.learning.judgement import Judgement, judge_tiles, share_right
from napari_smse.learning.labelled_set import LabelledImage, LabelledSet
from napari_smse.learning.prediction import JudgedTiles
from napari_smse.learning.recipe import Learns, Recipe, Similarity, why_impossible
from napari_smse.learning.training import train
from napari_smse.learning.tuning_split import divide
from napari_smse.network import Model
from napari_smse.network.exemplars import Exemplars, exemplars_of
from napari_smse.network.smse_network import SmseNetwork

HELD_OUT_SHARE: Final = 0.25
_PAIR_MARGIN: Final = 1.0
FLATTERS: Final = (
    "Regions of the same slide are held out, not another slide: slides from elsewhere will do "
    "worse than these figures."
)
Doing = Literal["reading", "learning", "checking"]


@dataclass(frozen=True)
class FineTuningProgress:
    """How far a fine-tuning is.

    Attributes
    ----------
    doing
        Reading tiles, learning, or checking what came out.
    done, total
        Images, steps, images.
    loss
        Of the last step; none while not learning.
    """

    doing: Doing
    done: int
    total: int
    loss: float | None = None


@dataclass(frozen=True)
class FineTuned:
    """A network after fine-tuning, and what it is worth.

    Attributes
    ----------
    network
        On the CPU; shares the trunk with the model tuned if only the heads learnt.
    before, after
        Of the same held-out images.
    exemplars
        What a later training must not forget, as this network embeds them: those of the model
        tuned, if only its heads learnt, and tiles learnt from now.
    old_right
        Share of the model's exemplars called right, before and after; none where that cannot be
        told.
    heads
        What turns embeddings of the model tuned into those of this network; none if more than
        the heads learnt.
    """

    network: SmseNetwork
    before: Judgement
    after: Judgement
    exemplars: Exemplars
    old_right: tuple[float, float] | None
    heads: TunedHeads | None = None


def tuning_recipe(
    similarity: Similarity = "triplet", learns: Learns = "head", **changes: object
) -> Recipe:
    """Return the recipe of a fine-tuning.

    Parameters
    ----------
    similarity
        Similarity loss; the cross-entropy is added to it.
    learns
        The heads (seconds, from embeddings), also the trunk's last stage, or all.
    **changes
        Fields of `Recipe`; None leaves them as they are.

    Raises
    ------
    TrainingError
        A value is impossible.
    """
    head = learns == "head"
    usual: dict[str, object] = {
        "similarity": similarity,
        "learns": learns,
        "classification": "cross-entropy",
        "pca_start": False,
        "steps": 200 if head else 60,
        "warm_up": 0 if head else 5,
        "cases_per_class": 8 if head else 4,
        "stain": 0.3,
        "colour": 0.0,
        "blur": 0.0,
        "ema_decay": 0.0 if head else 0.9,
        "distillation": 0.0 if head else 1.0,
    }
    if similarity == "pair":
        usual["margin"] = _PAIR_MARGIN
    given = {name: value for name, value in changes.items() if value is not None}
    try:
        return Recipe.model_validate(usual | given)
    except ValidationError as error:
        raise TrainingError(
            f"Such a fine-tuning is impossible: {why_impossible(error)}; correct it."
        ) from error


class FineTuning:
    """One fine-tuning of a model; the model itself is not changed.

    Parameters
    ----------
    model
        What to start from.
    labelled_set
        What to learn from and to hold out of. Classes that the model knows keep its class head;
        with any other it gets a new one.
    recipe
        As `tuning_recipe` gives it.
    share
        Of the cases to hold out.
    keep
        How much it weighs that the model's exemplars stay told apart (heads only; else the
        recipe's distillation guards what it knows).
    device
        For torch.
    known
        What the model said of some of the images before, as a run stored it.

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
        known: Mapping[LabelledImage, JudgedTiles] | None = None,
    ) -> None:
        self._network = _tunable(model)
        self.model, self.recipe = model, recipe
        self.labelled_set = _known_classes(labelled_set, model)
        self.labelled_set.check_classes()
        self.training, self.testing, by_region = divide(self.labelled_set, share, recipe.seed)
        self.warnings = [FLATTERS] if by_region else []
        if not self.same_classes:
            self.warnings.append(
                f"Model {model.card.name} tells {', '.join(model.card.classes)} apart: it gets a "
                f"new class head for {', '.join(self.labelled_set.classes)}, and 'before' is the "
                "nearest class mean in its embedding."
            )
        if seen := seen_cases(self.labelled_set.some(self.testing), model.card):
            self.warnings.append(
                f"{len(seen)} of the held-out cases are among those that model {model.card.name} "
                "was trained on: its figures 'before' are too good, and the difference too small."
            )
        self._keep, self._device, self._known = keep, device, known
        self._exemplars = exemplars_of(model)

    @property
    def same_classes(self) -> bool:
        """Whether the model's classes are the images'."""
        return self.labelled_set.classes == self.model.card.classes

    def run(self) -> Generator[FineTuningProgress, None, FineTuned]:
        """Learn, yielding progress; return what came out.

        Raises
        ------
        DataError
            An image cannot be read.
        TrainingError
            The loss is not a number any more.
        """
        network = self._network.to(self._device)
        learnt, _ = yield from self._embed(network, self.training, "reading")
        held, _ = yield from self._embed(network, self.testing, "reading")
        self._network.cpu()
        if self.recipe.learns == "head":
            return (yield from self._tune_heads(learnt, held))
        return (yield from self._train_trunk(learnt, held))

    def _tune_heads(
        self, learnt: EmbeddedTiles, held: EmbeddedTiles
    ) -> Generator[FineTuningProgress, None, FineTuned]:
        old = self._exemplars
        heads = start_heads(self._network, learnt, self.model.card.classes)
        before = judge_tiles(held, heads.logits(held.embeddings), learnt)
        right = self._right(heads.logits(old.embeddings)) if old else None
        for step in tune_heads(heads, learnt, self.recipe, exemplars=old, keep=self._keep):
            yield FineTuningProgress("learning", step.step, step.steps, step.loss)
        logits = heads.logits(held.embeddings)
        learnt, held = (one.moved(heads.embed(one.embeddings)) for one in (learnt, held))
        exemplars = choose_exemplars(learnt)
        old_right = None
        if old is not None:
            now = self._right(heads.logits(old.embeddings))
            old_right = None if right is None or now is None else (right, now)
            exemplars = exemplars.joined(old, heads.embed(old.embeddings))
        network, after = tuned_network(self._network, heads), judge_tiles(held, logits, learnt)
        return FineTuned(network, before, after, exemplars, old_right, heads)

    def _train_trunk(
        self, learnt: EmbeddedTiles, held: EmbeddedTiles
    ) -> Generator[FineTuningProgress, None, FineTuned]:
        heads = start_heads(self._network, learnt, self.model.card.classes)
        before = judge_tiles(held, heads.logits(held.embeddings), learnt)
        network = copy.deepcopy(self._network)
        network.class_head = heads.class_head
        running = train(
            network, self.labelled_set, self.recipe, training=self.training, device=self._device
        )
        for step in running:
            yield FineTuningProgress("learning", step.step, step.steps, step.loss)
        learnt, _ = yield from self._embed(network, self.training, "checking")
        held, logits = yield from self._embed(network, self.testing, "checking")
        after = judge_tiles(held, logits, learnt)
        # Only pixels, which are not kept, could say where the old exemplars lie now.
        return FineTuned(network.cpu().eval(), before, after, choose_exemplars(learnt), None)

    def _embed(
        self, network: SmseNetwork, indices: Sequence[int], doing: Doing
    ) -> Generator[FineTuningProgress, None, tuple[EmbeddedTiles, Tensor]]:
        # What is known is what the model said, before it learnt.
        known = self._known if doing == "reading" else None
        running = embed_images(network, self.labelled_set, indices, self.model.card.tile_px, known)
        while True:
            try:
                done = next(running)
            except StopIteration as end:
                found: tuple[EmbeddedTiles, Tensor] = end.value
                return found
            yield FineTuningProgress(doing, done, len(indices))

    def _right(self, logits: Tensor) -> float | None:
        """Return the share of the model's exemplars called right, if that can be told."""
        assert self._exemplars is not None
        if not self.same_classes or self._exemplars.classes != self.labelled_set.classes:
            return None
        return share_right(logits, self._exemplars.labels)


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
