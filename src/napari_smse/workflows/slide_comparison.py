"""A slide before and after a fine-tuning: the tuned model's scores, and what they change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from napari_smse.errors import SmseError
from napari_smse.models import ModelCard, read_card
from napari_smse.progress import Progress, Task, map_progress
from napari_smse.scoring import ScoreMaps, ScoreStore, run_warnings
from napari_smse.scoring.derived_store import inherited_facts
from napari_smse.scoring.open_run import model_facts
from napari_smse.scoring.store import signature
from napari_smse.workflows import score_slide
from napari_smse.workflows.score_slide import spare_threads
from napari_smse.workflows.scored_slide import Run, ScoredSlide

if TYPE_CHECKING:
    from napari_smse.finetuning.changed_calls import ChangedCall
    from napari_smse.finetuning.fine_tuner import FineTuner
    from napari_smse.finetuning.result import FineTuneResult

COLOURING: Final = "Colouring the maps …"


@dataclass(frozen=True)
class SlideComparison:
    """A slide as the model saw it before, and as the tuned one sees it.

    Attributes
    ----------
    scored
        What was learnt from.
    before, after
        Maps.
    flipped, flips
        Tiles of another class than before, furthest moved first, and how many there are in all;
        none with other classes.
    run
        The tuned model's scores of the slide, which `after` shows; None if they or the model
        could not be written.
    """

    scored: ScoredSlide
    before: ScoreMaps
    after: ScoreMaps
    flipped: Sequence[ChangedCall]
    flips: int
    run: Run | None = None


def compare_slide(
    one: ScoredSlide,
    tuning: FineTuner,
    tuned: FineTuneResult,
    saved_path: Path | None,
    warnings: list[str],
) -> Task[SlideComparison]:
    """Score a slide with a tuned model; its scores are a run of their own.

    Parameters
    ----------
    one
        The slide, as it was learnt from.
    tuning, tuned
        What was learnt, and what came of it.
    saved_path
        Where the tuned model lies; None if it could not be written, and no scores can be either.
    warnings
        Takes what the user must know.

    Raises
    ------
    DamagedSlideError, OutputError
        The slide or its scores cannot be read.
    """
    store = None
    try:
        if saved_path is not None:
            store = _store_for(one, tuning, tuned, read_card(saved_path))
    except SmseError as error:
        warnings.append(f"The tuned model's scores of {one.slide.name} cannot be saved: {error}")
    after = yield from _maps(one, tuning, tuned, store)
    run = None
    if store is not None and saved_path is not None:
        card = read_card(saved_path)
        run = replace(
            one.run,
            store=store,
            card=card,
            model=str(saved_path),
            warnings=tuple(run_warnings(one.slide, card, one.mpps, store.facts)),
            base=one.run,
        )
    return replace(_compared(one, after), run=run)


def _maps(
    one: ScoredSlide, tuning: FineTuner, tuned: FineTuneResult, store: ScoreStore | None
) -> Task[ScoreMaps]:
    from napari_smse.finetuning.saving import fine_tuned_card
    from napari_smse.finetuning.tuned_maps import maps_by_heads, rescored_maps
    from napari_smse.models import Model

    run = one.run
    if tuned.heads is not None:
        classes = tuning.labelled_set.classes
        return maps_by_heads(run.store, run.plan, tuned.heads, classes, one.fused)
    # As the maps before were made, so that what differs is what was learnt.
    model = Model(tuned.network, fine_tuned_card(tuning, tuned, "tuned"), tuning.model.path)
    task = rescored_maps(one.slide, model, run.plan, one.fused, run.device, spare_threads(), store)
    return (yield from map_progress(task, lambda at: Progress(at.done, at.total, COLOURING)))


def _store_for(
    one: ScoredSlide, tuning: FineTuner, tuned: FineTuneResult, card: ModelCard
) -> ScoreStore:
    """Make the store of a tuned model's scores: filled if its heads say them, else to be filled."""
    from napari_smse.finetuning.tuned_maps import store_by_heads

    run = one.run
    facts = {"model": model_facts(card), "tuned_from": run.store.facts["signature"]}
    path = score_slide.runs_folder() / f"{one.slide.name}-tuned-{signature(facts)}.zarr"
    if tuned.heads is not None:
        classes = tuning.labelled_set.classes
        return store_by_heads(path, run.store, run.plan, tuned.heads, classes, facts)
    inherited = inherited_facts(run.store)
    return ScoreStore.create(
        path, run.plan, card.classes, card.embedding_dim, {**inherited, **facts}
    )


def _compared(one: ScoredSlide, after: ScoreMaps) -> SlideComparison:
    from napari_smse.finetuning.changed_calls import changed_calls

    run = one.run
    before = ScoreMaps(run.plan, run.card.classes, one.fused)
    before.add_stored(run.store)
    if before.classes != after.classes:
        return SlideComparison(one, before, after, (), 0)
    flipped, flips = changed_calls(before.scores(), after.scores(), after.classes)
    return SlideComparison(one, before, after, flipped, flips)
