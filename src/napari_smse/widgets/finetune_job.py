"""What happens when Fine-tune is pressed, as a generator without any Qt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shapely import MultiPolygon

from napari_smse.errors import DataError
from napari_smse.network import load_model
from napari_smse.scoring import ScoreMaps, fused_scales
from napari_smse.slides import Slide
from napari_smse.widgets.score_job import Stage, Started

if TYPE_CHECKING:
    from napari_smse.learning.fine_tuning import FineTuned, FineTuning, FineTuningProgress
    from napari_smse.learning.recipe import Similarity


@dataclass(frozen=True)
class ScoredSlide:
    """A slide that was scored and annotated.

    Attributes
    ----------
    slide, started
        The slide and its last run.
    regions
        What is drawn of each class, level-0 px.
    """

    slide: Slide
    started: Started
    regions: Mapping[str, MultiPolygon]


@dataclass(frozen=True)
class Tuned:
    """A fine-tuning that came to its end.

    Attributes
    ----------
    tuning, tuned
        What was learnt, and what it is worth.
    maps
        The new maps of each slide, by its quick hash.
    conflicts
        Tiles that two classes claim; they were not learnt from.
    """

    tuning: FineTuning
    tuned: FineTuned
    maps: dict[str, ScoreMaps]
    conflicts: int


@dataclass(frozen=True)
class FineTuneJob:
    """Annotated slides, and how to learn from them.

    Parameters
    ----------
    slides
        All scored by one model.
    similarity
        Similarity loss.
    steps
        Of training.
    keep
        How much it weighs to keep what the model knew.
    """

    slides: Sequence[ScoredSlide]
    similarity: Similarity = "triplet"
    steps: int = 200
    keep: float = 1.0

    def run(self) -> Iterator[Stage | FineTuningProgress | Tuned]:
        """Collect, learn, recolour; raises what these raise."""
        from napari_smse.learning.annotated_tiles import AnnotatedSlide, annotated_tiles
        from napari_smse.learning.fine_tuning import FineTuning, tuning_recipe
        from napari_smse.learning.recolouring import tuned_maps

        yield Stage("Loading the model …")
        model = load_model(self._model())
        yield Stage("Collecting tiles …")
        classes = self._classes(model.card.classes)
        tiles = annotated_tiles(
            [
                AnnotatedSlide(
                    one.slide, one.regions, one.started.plan.mask, one.started.store, one.slide.name
                )
                for one in self.slides
            ],
            classes,
        )
        recipe = tuning_recipe(self.similarity, steps=self.steps)
        tuning = FineTuning(model, tiles.labelled_set, recipe, keep=self.keep, known=tiles.known)
        tuned = yield from tuning.run()
        assert tuned.heads is not None  # only heads are tuned here
        yield Stage("Colouring the maps …")
        maps = {}
        for one in self.slides:
            run = one.started
            fused = fused_scales([t.grid.spec.mpp for t in run.plan.scales], run.card)
            maps[one.slide.quick_hash] = tuned_maps(
                run.store, run.plan, tuned.heads, tuning.labelled_set.classes, fused
            )
        yield Tuned(tuning, tuned, maps, tiles.conflicts)

    def _model(self) -> str:
        weights = {one.started.card.weights_sha256 for one in self.slides}
        if len(weights) > 1:
            names = ", ".join(dict.fromkeys(one.started.card.name for one in self.slides))
            raise DataError(
                f"The slides were scored by different models ({names}): score all of them with "
                "the one to fine-tune."
            )
        return self.slides[0].started.model

    def _classes(self, known: Sequence[str]) -> tuple[str, ...]:
        """Return the model's classes, if no others are drawn; else those that are drawn."""
        drawn = tuple(dict.fromkeys(name for one in self.slides for name in one.regions))
        if set(drawn) <= set(known):
            return tuple(known)
        if len(drawn) < 2:
            raise DataError(
                f"Only {drawn[0]} is drawn, so there is nothing to tell it apart from: draw "
                "regions of another class too."
            )
        return drawn
