"""What happens when Fine-tune is pressed: collect, learn, score the slides again, compare."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from napari_smse.errors import DataError, SmseError
from napari_smse.finetuning.history import FineTuneHistory
from napari_smse.palette import Colour, chosen_colours
from napari_smse.progress import Progress, Task
from napari_smse.scoring import (
    ScoreMaps,
    choose_device,
)
from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.workflows.score_slide import load_cached_model
from napari_smse.workflows.scored_slide import ScoredSlide
from napari_smse.workflows.settings.fine_tune import FineTuneSettings
from napari_smse.workflows.slide_comparison import COLOURING, SlideComparison, compare_slide

if TYPE_CHECKING:
    from napari_smse.finetuning.annotated_tiles import AnnotatedTiles
    from napari_smse.finetuning.comparison import Comparison
    from napari_smse.finetuning.fine_tuner import FineTuner
    from napari_smse.finetuning.result import FineTuneResult
    from napari_smse.models import Model
    from napari_smse.training.recipe import Recipe

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FineTuneOutcome:
    """A fine-tuning that came to its end.

    Attributes
    ----------
    tuning, tuned
        What was learnt, and what it is worth.
    slides
        Each slide, before and after.
    conflicts
        Tiles that two classes claim; they were not learnt from.
    comparison
        Figures of what was held out.
    colours
        Of the classes, RGB 0..255.
    saved_path
        Where it lies in the history; None if it could not be written there.
    warnings
        What the user must know.
    """

    tuning: FineTuner
    tuned: FineTuneResult
    slides: Sequence[SlideComparison]
    conflicts: int
    comparison: Comparison
    colours: Mapping[str, Colour]
    saved_path: Path | None
    warnings: Sequence[str]

    @property
    def maps(self) -> dict[str, ScoreMaps]:
        """The new maps of each slide, by its quick hash."""
        return {one.scored.slide.quick_hash: one.after for one in self.slides}


@dataclass(frozen=True)
class FineTuneJob:
    """Annotated slides, and how to learn from them.

    Parameters
    ----------
    slides
        All scored by one model. What is drawn on them is learnt from; without a bank, something
        must be.
    settings
        How to learn.
    device
        ``auto`` or a device's name; used where the trunk learns.
    history
        Where every finished fine-tuning is kept.
    bank
        Exemplars to learn from besides.
    loaded
        The model that scored the slides, if it was loaded before.
    """

    slides: Sequence[ScoredSlide]
    settings: FineTuneSettings = field(default_factory=FineTuneSettings)
    device: str = "auto"
    history: FineTuneHistory = field(default_factory=FineTuneHistory)
    bank: ExemplarBank | None = None
    loaded: Model | None = None

    def run(self) -> Task[FineTuneOutcome]:
        """Collect, learn, colour the maps; raises what these raise.

        The `detail` of the progress is the `FineTuner` once, before it learns, which can be told to
        stop; then comes its `FineTuneProgress`.
        """
        from napari_smse.finetuning.comparison import compare
        from napari_smse.finetuning.fine_tuner import FineTuner

        yield Progress(message="Loading the model …")
        name = self._model()
        model = load_cached_model(name) if self.loaded is None else self.loaded
        device = choose_device(self.device)
        yield Progress(message="Collecting tiles …")
        tiles = self._tiles(model)
        settings = self.settings
        recipe = recipe_from(settings)
        tuning = FineTuner(
            model,
            tiles.labelled_set,
            recipe,
            replay_weight=settings.replay_weight,
            device="cpu" if self._stored else device.torch_name,
            precomputed=tiles.outputs,
            seconds=settings.time_limit,
            constraints=tiles.constraints,
            exemplars=tiles.exemplars,
            appearances=tiles.appearances,
            crops=settings.crops_of(len(tiles.labelled_set.images), stored=True),
        )
        yield Progress(message="Starting to learn …", detail=tuning)
        tuned = yield from tuning.run()
        yield Progress(message=COLOURING)
        warnings = [*tuning.warnings, *tiles.messages, *self._bank_summary()]
        saved_path = self._save(tuning, tuned, warnings)
        try:
            slides = []
            for one in self.slides:
                slides.append((yield from compare_slide(one, tuning, tuned, saved_path, warnings)))
            yield Progress(message="Comparing with the model before …")
            found = compare(tuning, tuned)
        except GeneratorExit:  # cancelled: all is to be as it was
            self._forget(saved_path)
            raise
        if saved_path is not None:
            self.history.forget_old()
        return FineTuneOutcome(
            tuning,
            tuned,
            slides,
            tiles.conflicts,
            found,
            self._colours,
            saved_path,
            tuple(warnings),
        )

    def _save(self, tuning: FineTuner, tuned: FineTuneResult, warnings: list[str]) -> Path | None:
        """Keep the model in the history; what was learnt is not lost if that fails."""
        try:
            saved_path = self.history.add(tuning, tuned, colours=self._colours)
        except (SmseError, OSError) as error:
            warnings.append(
                f"It could not be kept in the history: {error} Its scores cannot be saved either, "
                "before that is mended."
            )
            return None
        return saved_path

    def _forget(self, saved_path: Path | None) -> None:
        try:
            if saved_path is not None:
                self.history.remove(saved_path)
        except SmseError as error:
            logger.warning("%s stays in the history: %s", saved_path, error)

    @property
    def _colours(self) -> dict[str, Colour]:
        """Return the colours that somebody chose: others are for outlines alone, not for maps."""
        drawn = {name: rgb for slide in self.slides for name, rgb in slide.colours.items()}
        return chosen_colours(drawn)

    def _tiles(self, model: Model) -> AnnotatedTiles:
        from napari_smse.finetuning.annotated_slide import AnnotatedSlide
        from napari_smse.finetuning.annotated_tiles import annotated_tiles
        from napari_smse.finetuning.exemplar_tiles import exemplar_tiles_of
        from napari_smse.finetuning.learnable_classes import learnable_tiles

        slides = [
            AnnotatedSlide(
                one.slide,
                one.regions,
                one.run.plan.mask,
                one.run.store,
                one.case,
                one.annotations.corrections,
            )
            for one in self.slides
        ]
        links = [link for one in self.slides for link in one.annotations.constraints]
        added = []
        if self.bank is not None and self._stored:
            added = exemplar_tiles_of(self.bank, [one.slide for one in self.slides], model)
        drawn = [name for one in self.slides for name in one.regions]
        names = list(dict.fromkeys([*drawn, *(one.class_name for one in added)]))
        return learnable_tiles(
            model.card.classes,
            names,
            lambda classes: annotated_tiles(slides, classes, links, added),
        )

    @property
    def _stored(self) -> bool:
        """Whether the heads learn from stored embeddings."""
        return self.settings.uses_stored_embeddings

    def _bank_summary(self) -> list[str]:
        if self.bank is None or self._stored:
            return []
        return [
            f"The {len(self.bank):,} reference tiles were not learnt from, as only their "
            "embeddings are at hand: choose “Heads (cached embeddings)” to learn from them."
        ]

    def _model(self) -> str:
        weights = {one.run.card.weights_sha256 for one in self.slides}
        if len(weights) > 1:
            names = ", ".join(dict.fromkeys(one.run.card.name for one in self.slides))
            raise DataError(
                f"The slides were scored by different models ({names}): score all of them with "
                "the one to fine-tune."
            )
        return self.slides[0].run.model


def recipe_from(settings: FineTuneSettings, seed: int = 0) -> Recipe:
    """Return the recipe that settings amount to.

    Parameters
    ----------
    settings
        What is to be trained, and how.
    seed
        Of the choice of held-out cases and of the training.

    Raises
    ------
    TrainingError
        A value is impossible.
    """
    from napari_smse.finetuning.setup import fine_tune_recipe

    # A trunk replays by staying near its own features (distillation) instead of by exemplars.
    forgets = settings.layers != "head" and not settings.replay_weight
    return fine_tune_recipe(
        settings.loss,
        settings.layers,
        classification=settings.classification,
        margin=settings.margin,
        mining=settings.mining,
        learning_rate=settings.learning_rate,
        steps=settings.steps,
        distillation_weight=0.0 if forgets else None,
        seed=seed,
    )
