"""Runs of earlier sessions that still lie in the cache: found again, and opened."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from napari_smse.errors import SmseError
from napari_smse.models import ModelCard
from napari_smse.scoring import (
    ComputeDevice,
    HeatMap,
    HeatMapBuilder,
    ScoreMaps,
    ScoreStore,
    describe_scale,
    fused_scales,
    run_warnings,
    stored_plan,
)
from napari_smse.scoring.open_run import FEATURES
from napari_smse.slides import Slide
from napari_smse.tiles.appearance import focus
from napari_smse.workflows import score_slide
from napari_smse.workflows.scored_slide import Run

NOT_RECORDED: Final = "not recorded"
"""The device of scores that were read back."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredRun:
    """A finished run of a slide, in the cache.

    Attributes
    ----------
    path
        Of its store.
    model
        What scored it: name and version.
    mpps
        The scales, um/px.
    finished
        When, as ISO 8601 writes it.
    """

    path: Path
    model: str
    mpps: tuple[float, ...]
    finished: str

    @property
    def summary(self) -> str:
        """Model and scales, for a reader."""
        return f"{self.model}, {', '.join(describe_scale(mpp) for mpp in self.mpps)}"


def find_stored_run(slide: Slide, card: ModelCard) -> StoredRun | None:
    """Return the newest finished run of a whole slide by a model; None if none is in the cache.

    Parameters
    ----------
    slide
        Known by content and um/px.
    card
        Of the model.
    """
    found = []
    for path in score_slide.stored_runs_of(slide):
        try:
            facts = ScoreStore.open(path).facts
        except SmseError:
            logger.info("%s cannot be read and is not offered", path, exc_info=True)
            continue
        if _is_of(facts, slide, card):
            mpps = tuple(float(mpp) for mpp in facts["request"]["mpps"])
            model = f"{facts['model']['name']} {facts['model']['version']}"
            found.append(StoredRun(path, model, mpps, str(facts["finished"])))
    return max(found, key=lambda one: one.finished, default=None)


def run_of_store(slide: Slide, store: ScoreStore, card: ModelCard, model: str) -> Run:
    """Return a run that was stored, its plan made anew.

    Parameters
    ----------
    slide, store
        The slide, and its scores.
    card, model
        Of the model that scored it, and what it is loaded by.

    Raises
    ------
    SlideError, ScaleError, OutputError
        As `napari_smse.scoring.stored_plan` does.
    """
    facts, plan = store.facts, stored_plan(slide, store)
    # Only what the scores themselves say of it; nothing runs on it again.
    device = ComputeDevice("cpu", NOT_RECORDED, facts["precision"], 1, facts["runtime"])
    mpps = tuple(tiles.grid.spec.mpp for tiles in plan.scales)
    warnings = run_warnings(slide, card, mpps, facts)
    warnings += [plan.mask.notice] if plan.mask.notice else []
    return Run(plan, store, card, device, tuple(warnings), model)


def maps_of_run(run: Run) -> ScoreMaps:
    """Return the maps of what a run stored so far."""
    fused = fused_scales([tiles.grid.spec.mpp for tiles in run.plan.scales], run.card)
    maps = ScoreMaps(run.plan, run.card.classes, fused)
    maps.add_stored(run.store)
    return maps


def sharpness_map(run: Run, scale: int) -> HeatMap:
    """Return how sharp the tiles of one scale are; NaN where nothing was scored.

    Parameters
    ----------
    run
        The run, which may still go on.
    scale
        Number of the scale, fine to coarse.

    Raises
    ------
    OutputError
        Its store cannot be read.
    """
    tiles = run.plan.scales[scale]
    builder = HeatMapBuilder(tiles.grid)
    builder.add(tiles.columns, tiles.rows, focus(run.store.appearance(scale)))
    return builder.heat_map()


def _is_of(facts: Mapping[str, Any], slide: Slide, card: ModelCard) -> bool:
    """Tell whether a store holds a finished run of all of a slide by this model."""
    known = facts.get("slide", {})
    return (
        "finished" in facts
        and not {"tuned_from", FEATURES} & facts.keys()
        and facts.get("request", {}).get("roi", "") is None
        and known.get("quick_hash") == slide.quick_hash
        and known.get("mpp") == slide.scale.mpp
        and facts.get("model", {}).get("hash") == card.weights_sha256
        and tuple(facts["model"].get("classes", card.classes)) == card.classes
    )
