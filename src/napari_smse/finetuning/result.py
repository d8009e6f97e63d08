"""How far a fine-tuning is, and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from napari_smse.finetuning.assessment import Assessment
from napari_smse.finetuning.embedding_heads import EmbeddingHeads
from napari_smse.finetuning.hard_triplets import Triplet
from napari_smse.metrics.estimate import Estimate
from napari_smse.models.card import Undecided
from napari_smse.models.smse_network import SmseNetwork
from napari_smse.progress import Progress, Task, map_progress
from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.similarity.ood.reference import OodReference


@dataclass(frozen=True)
class FineTuneResult:
    """A network after fine-tuning, and its assessment.

    Attributes
    ----------
    network
        On the CPU; shares the trunk with the model tuned if only the heads learnt.
    before, after
        Of the same held-out images.
    exemplars
        What a later training must not forget, as this network embeds them: those of the model
        tuned, if only its heads learnt, and tiles learnt from now.
    exemplar_accuracy
        Share of the model's exemplars called right, before and after; none where that cannot be
        told.
    heads
        What turns embeddings of the model tuned into those of this network; none if more than
        the heads learnt.
    steps
        That were taken; fewer than the recipe's if it was stopped.
    hard_triplets
        Triplets of the tiles learnt from that the network gets most wrong.
    constraints_satisfied
        How many links held before, hold after, and there are; none without any.
    ood_reference
        What the tiles look like that the model tuned knows, and those learnt from now; none where
        that model does not say.
    temperature
        What the logits were divided by, so as to be no surer than right on what was held out.
    undecided
        The band in which nothing is called, by what was held out; none if that was too little.
    """

    network: SmseNetwork
    before: Assessment
    after: Assessment
    exemplars: ExemplarBank
    exemplar_accuracy: tuple[Estimate, Estimate] | None
    heads: EmbeddingHeads | None = None
    steps: int = 0
    hard_triplets: tuple[Triplet, ...] = ()
    constraints_satisfied: tuple[int, int, int] | None = None
    ood_reference: OodReference | None = None
    temperature: float = 1.0
    undecided: Undecided | None = None


_Result = TypeVar("_Result")

Stage = Literal["reading", "learning", "checking"]
MESSAGES: Final[dict[Stage, str]] = {
    "reading": "Reading tiles …",
    "learning": "Learning …",
    "checking": "Checking what was held out …",
}


@dataclass(frozen=True)
class HeldOutCheck:
    """How held-out images fare while a model learns; nothing is chosen by it.

    Attributes
    ----------
    step
        After which it was taken.
    accuracy
        Share of held-out images called right.
    separation
        Of held-out tiles, see `napari_smse.finetuning.assessment.separation`.
    """

    step: int
    accuracy: float
    separation: float


@dataclass(frozen=True)
class FineTuneProgress(Progress):
    """How far a fine-tuning is: in images while it reads or checks, in steps while it learns.

    Attributes
    ----------
    stage
        Reading tiles, learning, or checking what came out.
    loss
        Of the last step; none while not learning.
    check
        At what was held out, if one was just taken.
    """

    stage: Stage = "reading"
    loss: float | None = None
    check: HeldOutCheck | None = None


def in_stage(stage: Stage, task: Task[_Result]) -> Task[_Result]:
    """Do the work of a task as a stage of a fine-tuning."""
    message = MESSAGES[stage]
    return map_progress(task, lambda at: FineTuneProgress(at.done, at.total, message, stage=stage))


def learning_progress(
    done: int, total: int, loss: float, check: HeldOutCheck | None = None
) -> FineTuneProgress:
    """Return how far learning is, with the loss of the last step, and a check if one was taken."""
    return FineTuneProgress(
        done, total, MESSAGES["learning"], stage="learning", loss=loss, check=check
    )
