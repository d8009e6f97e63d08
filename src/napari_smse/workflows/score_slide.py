"""What happens when Run is pressed: plan, load, score; and what is saved of it."""

from __future__ import annotations

import glob
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
from shapely.geometry.base import BaseGeometry

from napari_smse.errors import OutputError
from napari_smse.models import ModelCard
from napari_smse.models.card import CARD_SUFFIX
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
    mask_warnings,
    open_run,
    run_warnings,
    score,
    select_runtime,
    store_lock,
)
from napari_smse.scoring.derived_store import derived_store
from napari_smse.scoring.device import usable_cores, viewer_reading_threads
from napari_smse.scoring.open_run import run_facts
from napari_smse.scoring.runtimes.selection import (
    begun_at_once,
    device_as_wanted,
    has_other_runtimes,
    needs_measuring,
    runtime_at_once,
)
from napari_smse.scoring.store import signature
from napari_smse.similarity.ood.reference import OodReference, load_ood_reference
from napari_smse.slides import Slide
from napari_smse.tiles import TilePlan, TissueMask
from napari_smse.workflows.chosen_tissue import chosen_tissue
from napari_smse.workflows.scored_slide import Run
from napari_smse.workflows.settings.score import ScoreSettings

if TYPE_CHECKING:
    from napari_smse.models import Model

RUNS_KEPT = 500
"""Runs of that many slides stay in the cache, so that a queue of slides is found again."""

MOST_AT_ONCE = 10_000
"""Tiles, about a minute or two: a slower runtime then costs no more than to measure them all."""

_MAKING_READY = "Making the model ready …"
_CHOOSING = "Finding the fastest way to run it …"

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
        The slide's tissue by its colours, if it was found before.
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
    runs_to_keep
        Number of runs to keep in the cache at most.
    at_once
        Somebody waits for the first tile: where it was not measured yet how the model runs fastest
        on this computer, a run of no more than `MOST_AT_ONCE` tiles is by torch, all of it;
        `settle_runtime` measures afterwards.
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
    runs_to_keep: int = RUNS_KEPT
    at_once: bool = False

    @cached_property
    def request(self) -> ScoreRequest:
        """Which tiles; raises what `ScoreSettings.request` raises."""
        return self.settings.request(self.roi, self.slide)

    def run(self) -> Task[Run]:
        """Plan, load, score; raises what these raise.

        The `detail` of the progress is the `Run`, once that is ready; then comes the progress of
        `napari_smse.scoring.score`.
        """
        yield Progress(message="Loading the model …")
        model = load_cached_model(self.model) if self.loaded is None else self.loaded
        yield Progress(message="Looking for tissue …")
        mask = yield from chosen_tissue(
            self.slide, self.request, self.settings.device, self.threads or spare_threads()
        )
        plan = self.request.plan(self.slide, model.card, mask or self.mask)
        at_once = self._starts_at_once(plan)
        yield Progress(message=_MAKING_READY if at_once else _CHOOSING)
        devices = self._devices(model, at_once=at_once)
        device, path = self._device_and_store(model.card, plan, devices)
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
        warnings = run_warnings(self.slide, model.card, self.request.mpps, store.facts)
        warnings += mask_warnings(self.request, plan)
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
            readers=viewer_reading_threads(device, spare_threads()),
            viewport=self.viewport,
            seconds=self.settings.time_limit,
        )
        yield from running
        return run

    def _starts_at_once(self, plan: TilePlan) -> bool:
        """Whether this run begins without a measurement: a long one gains more than it waits."""
        return self.at_once and (plan.tile_count <= MOST_AT_ONCE or not has_other_runtimes())

    def _devices(self, model: Model, *, at_once: bool) -> list[ComputeDevice]:
        """What to run on; after it, what an earlier run may have begun on."""
        precision = self.settings.precision
        device = choose_device(self.settings.device, exact=precision == "float32")
        if precision != "auto":
            return [device_as_wanted(device, model, precision)]
        chosen = (runtime_at_once if at_once else select_runtime)(device, model)
        begun = begun_at_once(device, model)
        return [chosen] if begun in (None, chosen) else [chosen, begun]

    def _device_and_store(
        self, card: ModelCard, plan: TilePlan, devices: Sequence[ComputeDevice]
    ) -> tuple[ComputeDevice, Path]:
        """Return what to run on, and the store: a run goes on as it was begun.

        Scores live in the cache until they are saved, so that a crash loses none.
        """
        if self.out is not None:
            return self._of_store(self.out, devices), self.out
        forget_old_runs(runs_folder(), self.runs_to_keep)
        places = [(device, self._cached(card, plan, device)) for device in devices]
        there = (place for place in places if place[1].exists() and not self.again)
        return next(there, places[0])

    def _of_store(self, path: Path, devices: Sequence[ComputeDevice]) -> ComputeDevice:
        """Return the device that a store was begun on, if it is one of these, else the first."""
        try:
            facts = ScoreStore.open(path).facts if path.exists() and not self.again else {}
        except OutputError:  # opening the run says what is wrong
            facts = {}
        begun = facts.get("runtime"), facts.get("precision")
        same = (device for device in devices if (device.runtime, device.precision) == begun)
        return next(same, devices[0])

    def _cached(self, card: ModelCard, plan: TilePlan, device: ComputeDevice) -> Path:
        facts = run_facts(self.slide, card, self.request, plan, device)
        return runs_folder() / f"{folder_name(self.slide.name)}-{signature(facts)}.zarr"


def settle_runtime(run: Run) -> None:
    """Measure how the model of a run is run fastest on this computer, unless that is known."""
    model = load_cached_model(run.model)
    if needs_measuring(run.device, model) and begun_at_once(run.device, model) is not None:
        select_runtime(run.device, model)


def load_cached_model(name: str) -> Model:
    """Load a model, or take that of the last run if its files are the same.

    Only now is torch imported, for which a dock must not wait.
    """
    from napari_smse.models import load_model
    from napari_smse.models.model_files import model_paths

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

    Tiles for QuPath and a report are among them.

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
        save_results(folder, slide, store, context, geojson=True, report=True)
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
            path.with_suffix(CARD_SUFFIX).unlink(missing_ok=True)  # of features read from a file


def spare_threads() -> int:
    """CPU threads for the network that leave one core to the viewer."""
    return max(1, usable_cores() - 1)
