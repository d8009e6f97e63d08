"""What happens when Run is pressed: plan, load, score; and what is saved of it."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
from shapely.geometry.base import BaseGeometry

from napari_smse.errors import OutputError
from napari_smse.models import ModelCard
from napari_smse.progress import Progress, Task
from napari_smse.results import RunContext, folder_name, save_results
from napari_smse.scoring import (
    ComputeDevice,
    ScoreMaps,
    ScoreRequest,
    ScoreStore,
    Viewport,
    choose_device,
    folder_lock,
    open_run,
    scale_warnings,
    score,
    select_runtime,
    store_lock,
)
from napari_smse.scoring.derived_store import derived_store
from napari_smse.scoring.open_run import run_facts
from napari_smse.scoring.store import signature
from napari_smse.similarity.ood.reference import OodReference, load_ood_reference
from napari_smse.slides import Slide
from napari_smse.tiles import TilePlan, TissueMask
from napari_smse.workflows.scored_slide import Run
from napari_smse.workflows.settings.score import ScoreSettings

if TYPE_CHECKING:
    from napari_smse.models import Model

RUNS_KEPT = 500
"""Runs of that many slides stay in the cache, so that a queue of slides is found again."""

_last_loaded: dict[tuple[tuple[Path, int], ...], Model] = {}


@dataclass(frozen=True)
class ScoreJob:
    """A slide, and how to score it.

    Parameters
    ----------
    slide
        The slide, with the um/px that the user agreed to.
    model
        ``bundled`` or a path.
    settings
        Which tiles, on what, and for how long.
    roi
        Region, (x, y) in level-0 px; None for the whole slide.
    mask
        The slide's tissue, if it was found before.
    again
        Score tiles that an earlier run stored, too.
    viewport
        What of the slide is looked at; its tiles come first.
    before_first_tile
        Called once everything is ready and before the first tile is scored, such as to wait until
        a viewer has drawn an empty map: nothing should compete with that.
    loaded
        The model, if it was loaded before.
    out
        Path of the store to write; in the cache by default.
    threads
        CPU threads for the network; by default all but one, which is the viewer's.
    runs_kept
        Number of runs to keep in the cache at most.
    """

    slide: Slide
    model: str
    settings: ScoreSettings = field(default_factory=ScoreSettings)
    roi: BaseGeometry | None = None
    mask: TissueMask | None = None
    again: bool = False
    viewport: Viewport = field(default_factory=Viewport)
    before_first_tile: Callable[[Run], object] = lambda run: None
    loaded: Model | None = None
    out: Path | None = None
    threads: int | None = None
    runs_kept: int = RUNS_KEPT

    @cached_property
    def request(self) -> ScoreRequest:
        """Which tiles; raises `ScaleError` if a scale or the overlap is impossible."""
        return self.settings.request(self.roi)

    def run(self) -> Task[Run]:
        """Plan, load, score; raises what these raise.

        The `detail` of the progress is the `Run`, once that is ready; then comes the progress of
        `napari_smse.scoring.score`.
        """
        yield Progress(message="Loading the model …")
        model = load_cached_model(self.model) if self.loaded is None else self.loaded
        yield Progress(message="Finding the fastest way to run it …")
        device = choose_device(self.settings.device, exact=self.settings.float32)
        if not self.settings.float32:
            device = select_runtime(device, model)
        yield Progress(message="Looking for tissue …")
        plan = self.request.plan(self.slide, model.card, self.mask)
        path = self._store_path(model.card, plan, device)
        with store_lock(path):  # another viewer may be asked the same
            return (yield from self._score(model, device, plan, path))

    def _score(self, model: Model, device: ComputeDevice, plan: TilePlan, path: Path) -> Task[Run]:
        store = open_run(
            path,
            self.slide,
            model.card,
            self.request,
            plan,
            device,
            overwrite=self.again,
            earlier=[] if self.out else stored_runs_of(self.slide),
        )
        warnings = scale_warnings(self.slide, model.card, self.request.mpps)
        run = Run(plan, store, model.card, device, tuple(warnings), self.model)
        yield Progress(0, plan.tile_count, detail=run)
        self.before_first_tile(run)
        running = score(
            self.slide,
            model,
            plan,
            store,
            device,
            threads=self.threads or spare_threads(),
            readers=1,
            viewport=self.viewport,
            seconds=self.settings.time_limit,
        )
        yield from running
        return run

    def _store_path(self, card: ModelCard, plan: TilePlan, device: ComputeDevice) -> Path:
        """Scores live in the cache until they are saved, so that a crash loses none."""
        if self.out is not None:
            return self.out
        facts = run_facts(self.slide, card, self.request, plan, device)
        path = runs_folder() / f"{folder_name(self.slide.name)}-{signature(facts)}.zarr"
        forget_old_runs(path.parent, self.runs_kept)
        return path


def load_cached_model(name: str) -> Model:
    """Load a model, or take that of the last run if its files are the same.

    Only now is torch imported, for which a dock must not wait.
    """
    from napari_smse.models import load_model
    from napari_smse.models.card import model_paths

    files = tuple((path, path.stat().st_mtime_ns) for path in model_paths(name) if path.exists())
    known = _last_loaded.get(files)
    if known is None:
        known = load_model(name)
        _last_loaded.clear()
        _last_loaded[files] = known
    return known


def save_shown_results(
    folder: Path,
    slide: Slide,
    run: Run,
    maps: ScoreMaps,
    by: str,
    *,
    reference: OodReference | None = None,
) -> Path:
    """Write the results of a finished run as its maps show them, and return the folder.

    Parameters
    ----------
    folder
        Where to.
    slide, run
        What was scored, and the run in force.
    maps, by
        What is shown, and what it is by; nothing for the class head of the run's model.
    reference
        What counts as known; by default what the model's training tiles look like.

    Raises
    ------
    OutputError
        If the folder cannot be written, or the run did not come to its end.
    """
    reference = reference or load_ood_reference(run.model, run.card.weights_sha256)
    context = RunContext(run.card, run.device.label, run.warnings, reference=reference)
    with folder_lock(folder), store_lock(run.store.path), ExitStack() as stack:
        store = run.store
        if by:
            card = run.card.model_copy(update={"classes": maps.classes})
            context = replace(context, card=card, classifier=by)
            parent = stack.enter_context(tempfile.TemporaryDirectory(prefix="napari-smse-"))
            store = _store_of_maps(Path(parent) / "scores.zarr", run, maps, by)
        save_results(folder, slide, store, context, geojson=True)
    return folder


def _store_of_maps(path: Path, run: Run, maps: ScoreMaps, by: str) -> ScoreStore:
    """Write a run's embeddings with the probabilities that maps show."""
    scores = [
        (shown.probability, run.store.scale(number).embedding)
        for number, shown in enumerate(maps.scores())
    ]
    return derived_store(path, run.store, run.plan, maps.classes, scores, {"classifier": by})


def runs_folder() -> Path:
    """Where the scores of runs lie that were not saved elsewhere."""
    return platformdirs.user_cache_path("napari-smse") / "runs"


def stored_runs_of(slide: Slide) -> list[Path]:
    """Return the stores in the cache that may be of a slide, going by its name; newest first."""
    runs = list(runs_folder().glob(f"{glob.escape(folder_name(slide.name))}-*.zarr"))
    return sorted(runs, key=lambda path: path.stat().st_mtime, reverse=True)


def forget_old_runs(folder: Path, keep: int = RUNS_KEPT) -> None:
    """Remove all but the newest runs from the cache; what was saved elsewhere is not touched.

    Neither is what another viewer writes to.
    """
    runs = [path for path in folder.glob("*.zarr") if (path / "zarr.json").exists()]
    runs.sort(key=lambda path: (path / "zarr.json").stat().st_mtime)
    for path in runs[: max(0, len(runs) - keep)]:
        with suppress(OutputError), store_lock(path):
            shutil.rmtree(path, ignore_errors=True)


def spare_threads() -> int:
    """CPU threads for the network that leave one core to the viewer."""
    return max(1, (os.cpu_count() or 1) - 1)
