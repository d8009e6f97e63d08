"""A slide that was scored: its run, what is drawn on it, and a tile of it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from napari_smse.annotations import AnnotationSet
from napari_smse.errors import QueryError
from napari_smse.models import ModelCard
from napari_smse.scoring import ComputeDevice, ScoreStore
from napari_smse.slides import Region, Slide
from napari_smse.tiles import TilePlan

NOT_SCORED: Final = "Score a slide first (SMSE: Score slide)."

PICTURE_PX: Final = 72
"""Edge of a tile's picture, px."""


@dataclass(frozen=True)
class Run:
    """Everything is ready, and tiles will follow once `shown` is set.

    Drawing a heat map for the first time can hold a viewer up for a second; nothing
    should compete with it, and nothing be missed meanwhile.

    Attributes
    ----------
    model
        ``bundled`` or the path of the model.
    base
        The run whose model was fine-tuned, if these are the tuned model's scores of its tiles.
    """

    plan: TilePlan
    store: ScoreStore
    card: ModelCard
    device: ComputeDevice
    warnings: tuple[str, ...]
    model: str
    shown: threading.Event = field(default_factory=threading.Event, compare=False)
    base: Run | None = None


@dataclass(frozen=True)
class ScoredSlide:
    """A slide that was scored, and what is drawn on it.

    Attributes
    ----------
    slide, started
        The slide and its last run, which may still go on.
    drawn
        Its annotations, and what was said of its tiles.
    """

    slide: Slide
    started: Run
    drawn: AnnotationSet

    def with_notes_of(self, other: ScoredSlide) -> ScoredSlide:
        """Return it with what was said of its tiles under another name besides."""
        links = tuple(dict.fromkeys([*self.drawn.constraints, *other.drawn.constraints]))
        remarks = tuple(dict.fromkeys([*self.drawn.corrections, *other.drawn.corrections]))
        return replace(self, drawn=replace(self.drawn, constraints=links, corrections=remarks))


@dataclass(frozen=True)
class TileOnSlide:
    """A tile, and the open slide it lies on.

    Attributes
    ----------
    slide
        The slide.
    region
        Its place, level-0 px.
    mpp
        Scale it was scored at, um/px.
    """

    slide: Slide
    region: Region
    mpp: float


def require_one_model(slides: Sequence[ScoredSlide]) -> None:
    """Refuse to compare the embeddings of different models.

    Raises
    ------
    QueryError
        There is no slide, or two models scored them; the message names both.
    """
    if not slides:
        raise QueryError(NOT_SCORED)
    if len({one.started.card.weights_sha256 for one in slides}) > 1:
        names = ", ".join(
            dict.fromkeys(
                f"{one.slide.name} by {one.started.card.name} "
                f"({one.started.card.weights_sha256[:8]})"
                for one in slides
            )
        )
        raise QueryError(
            f"The slides were scored by different models ({names}), whose embeddings do not "
            "compare: score all of them with one."
        )
