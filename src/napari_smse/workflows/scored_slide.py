"""A slide that was scored: its run, what is drawn on it, and a tile of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from shapely import MultiPolygon

from napari_smse.annotations import AnnotationSet
from napari_smse.annotations.case_id import guess_case
from napari_smse.datasets.alike_slides import slide_cases
from napari_smse.errors import QueryError
from napari_smse.models import ModelCard
from napari_smse.models.card import require_embedding
from napari_smse.palette import Colour
from napari_smse.scoring import ComputeDevice, ScoreStore, fused_scales
from napari_smse.slides import Region, Slide
from napari_smse.tiles import TilePlan

NOT_SCORED: Final = "Score a slide first (SMSE: Score slide)."

PICTURE_PX: Final = 72
"""Edge of a tile's picture, px."""


@dataclass(frozen=True)
class Run:
    """One model's scores of a slide, which may still be computed.

    Attributes
    ----------
    plan, store
        Which tiles, and where their scores are.
    card, device
        The model, and what runs it.
    warnings
        What a reader of the results must know, one line each.
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
    base: Run | None = None


@dataclass(frozen=True)
class ScoredSlide:
    """A slide that was scored, and what is annotated on it.

    Attributes
    ----------
    slide, run
        The slide and its last run, which may still go on.
    annotations
        Its regions, and the pairs and corrections of its tiles.
    """

    slide: Slide
    run: Run
    annotations: AnnotationSet = field(default_factory=AnnotationSet)

    @cached_property
    def regions(self) -> dict[str, MultiPolygon]:
        """What is drawn of each class, level-0 px."""
        return self.annotations.regions()

    @property
    def case(self) -> str:
        """The case that it is of: as stated in the annotations, else as its name suggests."""
        return self.annotations.case or guess_case(self.slide.name)

    @property
    def colours(self) -> dict[str, Colour]:
        """Of the classes that are drawn, RGB 0..255."""
        return {name: self.annotations.class_colour(name) for name in self.regions}

    @property
    def mpps(self) -> tuple[float, ...]:
        """The scales that were scored, um/px."""
        return tuple(tiles.grid.spec.mpp for tiles in self.run.plan.scales)

    @property
    def fused(self) -> list[int]:
        """Numbers of the scales that the fused maps are made of."""
        return fused_scales(self.mpps, self.run.card)

    def with_notes_of(self, other: ScoredSlide) -> ScoredSlide:
        """Return it with what was said of its tiles under another name besides."""
        own, others = self.annotations, other.annotations
        constraints = tuple(dict.fromkeys([*own.constraints, *others.constraints]))
        corrections = tuple(dict.fromkeys([*own.corrections, *others.corrections]))
        case = own.case or others.case
        return replace(
            self,
            annotations=replace(own, constraints=constraints, corrections=corrections, case=case),
        )


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


def cases_of(slides: Sequence[ScoredSlide]) -> list[str]:
    """Return the case of each slide; those that show the same tissue are of one."""
    cases = [one.case for one in slides]
    joined = slide_cases([one.slide for one in slides], cases).joined
    return [joined[case] for case in cases]


def require_one_model(slides: Sequence[ScoredSlide]) -> None:
    """Refuse to compare the embeddings of different models, or of one that gives none.

    Raises
    ------
    QueryError
        There is no slide, or two models scored them; the message names both.
    ModelError
        The model gives no embeddings.
    """
    if not slides:
        raise QueryError(NOT_SCORED)
    if len({one.run.card.weights_sha256 for one in slides}) > 1:
        names = ", ".join(
            dict.fromkeys(
                f"{one.slide.name} by {one.run.card.name} ({one.run.card.weights_sha256[:8]})"
                for one in slides
            )
        )
        raise QueryError(
            f"The slides were scored by different models ({names}), whose embeddings do not "
            "compare: score all of them with one."
        )
    require_embedding(slides[0].run.card)
