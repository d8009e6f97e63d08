"""The paper's settings, and what a training by them hands out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from napari_smse.models.smse_cnn import SmseCnn
from napari_smse.training.prediction import held_out_figures
from napari_smse.training.recipe import Classification, Recipe, Similarity
from napari_smse.training.trainer import TrainingProgress


class PaperRecipe(BaseModel):
    """How Sun et al. trained; the defaults are theirs.

    Attributes
    ----------
    similarity, margin
        Similarity loss, one to one with the classification loss, no mining; its margin.
    classification, gamma
        On the anchor only; focus (none: 2 for focal, 1.5 for reinforced focal).
    epochs, batch
        Every image is an anchor once an epoch.
    learning_rate, decay_every, decay
        Of Adam; every so many epochs the learning rate is multiplied by `decay`.
    colour
        Brightness, contrast, saturation and hue change by up to this; frames are also flipped
        each way with probability one half.
    seed
        Of all that is drawn.
    threads
        That read images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    network: str = SmseCnn.trunk_name
    similarity: Similarity = "triplet"
    margin: Annotated[float, Field(gt=0)] = 1.0
    classification: Classification = "focal"
    gamma: Annotated[float, Field(ge=0)] | None = None
    epochs: Annotated[int, Field(ge=1)] = 40
    batch: Annotated[int, Field(ge=1)] = 50
    learning_rate: Annotated[float, Field(gt=0, alias="rate")] = 1e-3
    decay_every: Annotated[int, Field(ge=1)] = 8
    decay: Annotated[float, Field(gt=0, le=1)] = 0.1
    colour: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    seed: Annotated[int, Field(ge=0)] = 0
    threads: Annotated[int, Field(ge=1)] = 2

    @property
    def focus(self) -> float:
        """The classification loss's gamma, the usual one if none is given."""
        return Recipe(classification=self.classification, gamma=self.gamma).focus


@dataclass(frozen=True)
class PaperEpoch:
    """The network after an epoch.

    Attributes
    ----------
    number
        From 1.
    validation_logits, test_logits
        ``(n, classes)`` in the order of the indices given; none if none were given.
    weights
        On the CPU, for `load_state_dict`.
    """

    number: int
    validation_logits: Tensor | None
    test_logits: Tensor | None
    weights: dict[str, Tensor]


@dataclass(frozen=True)
class PaperProgress(TrainingProgress):
    """How far a training is; after each epoch, with what came of it."""

    epoch: PaperEpoch | None = None


def best_epoch(logits: Sequence[Tensor], labels: Sequence[int]) -> int:
    """Return which epoch's logits are right most often; of equals, the one of least cross-entropy.

    Parameters
    ----------
    logits
        ``(n, classes)`` of each epoch.
    labels
        ``(n,)``, the truth.

    Returns
    -------
    int
        Counted from 0.
    """
    figures = [held_out_figures(of_epoch, labels) for of_epoch in logits]
    scores = [(found["accuracy"], -found["loss"]) for found in figures]
    return scores.index(max(scores))
