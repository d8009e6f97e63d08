"""How far a fine-tuning is, and how what was held out fares meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Doing = Literal["reading", "learning", "checking"]


@dataclass(frozen=True)
class Look:
    """How held-out images fare while a model learns; nothing is chosen by it.

    Attributes
    ----------
    step
        After which it was taken.
    accuracy
        Share of held-out images called right.
    separation
        Of held-out tiles, see `napari_smse.learning.judgement.separation`.
    """

    step: int
    accuracy: float
    separation: float


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
    look
        At what was held out, if one was just taken.
    """

    doing: Doing
    done: int
    total: int
    loss: float | None = None
    look: Look | None = None
