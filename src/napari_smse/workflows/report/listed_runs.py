"""Slides of a list, as the viewer has it, on a page over many: by runs that were not saved yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import OutputError
from napari_smse.models.card import ModelCard
from napari_smse.results import RunContext
from napari_smse.results.report.cohort_page import CohortSlide
from napari_smse.results.report.pictures import jpeg
from napari_smse.scoring import ScoreStore
from napari_smse.similarity.ood.reference import load_ood_reference
from napari_smse.workflows.report.cohort import THUMBNAIL_PX, CohortSource, cohort_slide
from napari_smse.workflows.runs.stored_runs import NOT_RECORDED

NOT_SCORED = "not scored"


@dataclass(frozen=True)
class ListedRun:
    """A slide of a list, with its run if it has one.

    Attributes
    ----------
    name, case, content
        What it is called, the case it is of, and its quick hash.
    store
        Path of the scores; None if it was not scored.
    model, card
        What the model that scored it is loaded by, and its card.
    picture
        RGB ``(h, w, 3)``; None if there is none.
    problem
        Why it has no scores, where that is known.
    """

    name: str
    case: str
    content: str = ""
    store: Path | None = None
    model: str = ""
    card: ModelCard | None = None
    picture: NDArray[np.uint8] | None = None
    problem: str = ""


def listed_sources(runs: Iterable[ListedRun]) -> list[CohortSource]:
    """Return the slides of a list for a page over them."""
    return [_source(run) for run in runs]


def _source(run: ListedRun) -> CohortSource:
    return CohortSource(run.name, run.case, lambda: _slide(run))


def _slide(run: ListedRun) -> CohortSlide:
    picture = b"" if run.picture is None else jpeg(run.picture, THUMBNAIL_PX)
    if run.store is None or run.card is None:
        problem = run.problem or NOT_SCORED
        return CohortSlide(run.name, run.case, picture=picture, problem=problem)
    store = ScoreStore.open(run.store)
    if not store.finished:
        raise OutputError(f"{run.name} is scored in part only: run it to the end.")
    reference = load_ood_reference(run.model, run.card.weights_sha256)
    context = RunContext(run.card, NOT_RECORDED, reference=reference)
    scales = [store.scale(number) for number in range(store.scale_count)]
    found = cohort_slide(
        context,
        scales,
        name=run.name,
        case=run.case,
        content=run.content,
        complete=store.complete,
    )
    return replace(found, picture=picture)
