"""Slides on their way from a path to a results folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING

from napari_smse.metrics.estimate import counted
from napari_smse.models.card import ModelCard
from napari_smse.progress import OnProgress, run_task
from napari_smse.results import (
    STORE_NAME,
    RunContext,
    remove_results,
    remove_unfinished,
    result_folder_names,
    save_results,
)
from napari_smse.scoring import (
    ComputeDevice,
    ScoreRequest,
    ScoreStore,
    WriteLock,
    describe_scale,
    mask_warnings,
    open_run,
    run_warnings,
)
from napari_smse.scoring.device import first_device
from napari_smse.scoring.open_run import another_run_error
from napari_smse.similarity.ood.reference import OodReference
from napari_smse.slides import Slide, open_slide
from napari_smse.tiles import TilePlan
from napari_smse.workflows.batch.destination import Destination
from napari_smse.workflows.batch.resume import ExistingResults
from napari_smse.workflows.chosen_tissue import chosen_tissue
from napari_smse.workflows.index_slides import IntoIndex
from napari_smse.workflows.settings.score import ScoreSettings

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry


@dataclass(frozen=True)
class BatchSettings:
    """How to score slides, the same for every slide.

    Parameters
    ----------
    target
        Where results go.
    scoring
        Which tiles to score, the region apart, and for how long.
    card
        Of the model.
    outlines
        Where to score, (x, y) in level-0 px from the slide's bounds; None for everywhere.
    source_mpp
        um/px of the slides, as the user states it; None for what they state.
    geojson
        Also write tiles for QuPath.
    report
        Also write a report, as HTML and as PDF.
    overwrite
        Replace another run's results.
    index
        Where slides go, too, when they are scored; None for nowhere.
    reference
        What the model's training tiles look like; None if that is not known.
    """

    target: Destination
    scoring: ScoreSettings
    card: ModelCard
    outlines: BaseGeometry | None = None
    source_mpp: float | None = None
    geojson: bool = False
    report: bool = False
    overwrite: bool = False
    index: IntoIndex | None = None
    reference: OodReference | None = None


@dataclass(frozen=True)
class SlideJob:
    """A slide, the name of its results folder, and how it is to be scored.

    Parameters
    ----------
    path
        The slide.
    name
        Of its results folder.
    settings
        How it is to be scored.
    """

    path: Path
    name: str
    settings: BatchSettings

    @property
    def where(self) -> str:
        """Where its results are, once they are there."""
        return self.settings.target.where(self.name)

    def is_finished(self) -> bool:
        """Whether its results are there, whole and as asked for; quick, and without the network.

        Raises
        ------
        SlideError
            If it cannot be opened.
        OutputError
            If results of other settings lie at a URL, which only overwriting may replace.
        """
        settings = self.settings
        if settings.overwrite:
            return False
        finished = ExistingResults.find(settings.target, self.name)
        if finished is None:
            return False
        with open_slide(self.path, mpp=settings.source_mpp) as slide:
            request = settings.scoring.request_on(slide, settings.outlines)
            other = finished.differences(
                slide, settings.card, request, precision=settings.scoring.precision
            )
        if other and not (settings.target.folder(self.name) / STORE_NAME).exists():
            raise another_run_error(self.where, other)
        return not other and finished.has_all(
            geojson=settings.geojson,
            report=settings.report,
            seconds=settings.scoring.time_limit,
        )

    def add_to_index(self) -> str:
        """Add it, which is finished, to the index, if there is one; return what became of it.

        Raises
        ------
        SlideError, OutputError, IndexFilesError
            As opening and `IntoIndex.add` do.
        """
        settings = self.settings
        if settings.index is None:
            return ""
        with open_slide(self.path, mpp=settings.source_mpp) as slide:
            return f"; {settings.index.add_from(settings.target.folder(self.name), slide)}"

    def plan(self, on_progress: OnProgress | None = None) -> PlannedJob:
        """Open it, and plan its tiles; without the network that scores them.

        Parameters
        ----------
        on_progress
            Called while a network looks for its tissue, where one does.

        Raises
        ------
        SlideError, ScaleError, RegionError
            As opening and planning do.
        """
        settings = self.settings
        slide = open_slide(self.path, mpp=settings.source_mpp)
        try:
            request = settings.scoring.request_on(slide, settings.outlines)
            device = first_device(settings.scoring.device)
            mask = run_task(chosen_tissue(slide, request, device), on_progress)
            return PlannedJob(self, slide, request, request.plan(slide, settings.card, mask))
        except BaseException:
            slide.close()
            raise

    def prepare(
        self, devices: Sequence[ComputeDevice], on_progress: OnProgress | None = None
    ) -> OpenJob:
        """Open it, plan its tiles, and open its store.

        Parameters
        ----------
        devices, on_progress
            As for `PlannedJob.prepare`, and for `plan`.

        Raises
        ------
        SlideError, ScaleError, RegionError, OutputError
            As `plan` and `PlannedJob.prepare` do.
        """
        planned = self.plan(on_progress)
        try:
            return planned.prepare(devices)
        except BaseException:
            planned.slide.close()
            raise


@dataclass(frozen=True)
class PlannedJob(AbstractContextManager["PlannedJob"]):
    """A slide that is open, with its plan; on what it will be scored need not be known yet.

    Parameters
    ----------
    job
        What it was made of.
    slide, request, plan
        What to score.
    """

    job: SlideJob
    slide: Slide
    request: ScoreRequest
    plan: TilePlan

    def __exit__(self, *exception: object) -> None:
        """Close the slide."""
        self.slide.close()

    def prepare(self, devices: Sequence[ComputeDevice]) -> OpenJob:
        """Open its store.

        Parameters
        ----------
        devices
            What it will be scored on; all compute alike.

        Raises
        ------
        OutputError
            As `open_run` does.
        """
        lock = self.job.settings.target.lock(self.job.name)
        try:
            store = self._opened_store(devices[0])
        except BaseException:
            lock.release()
            raise
        return OpenJob(self.job, self.slide, self.request, self.plan, store, devices, lock)

    def _opened_store(self, device: ComputeDevice) -> ScoreStore:
        settings = self.job.settings
        folder = settings.target.folder(self.job.name)
        remove_unfinished(folder)
        if settings.overwrite:
            remove_results(folder)
        planned = (self.slide, settings.card, self.request, self.plan)
        store = open_run(folder / STORE_NAME, *planned, device, overwrite=settings.overwrite)
        if not store.complete:
            remove_results(folder)
        return store


@dataclass(frozen=True)
class OpenJob(AbstractContextManager["OpenJob"]):
    """A slide that is open, with its plan and store, to which nobody else writes meanwhile.

    Parameters
    ----------
    job
        What it was made of.
    slide, request, plan, store
        What to score, and where to.
    devices
        What it is scored on.
    lock
        The right to write to its folder.
    """

    job: SlideJob
    slide: Slide
    request: ScoreRequest
    plan: TilePlan
    store: ScoreStore
    devices: Sequence[ComputeDevice]
    lock: WriteLock

    def __exit__(self, *exception: object) -> None:
        """Close the slide, and let others write to its folder."""
        self.close()

    def close(self) -> None:
        """Close the slide, and let others write to its folder."""
        self.slide.close()
        self.lock.release()

    @property
    def warnings(self) -> list[str]:
        """What a reader of the results must know, one line each."""
        card = self.job.settings.card
        return [
            *run_warnings(self.slide, card, self.request.mpps, self.store.facts),
            *mask_warnings(self.request, self.plan),
            *self._empty_scales(),
        ]

    def _empty_scales(self) -> Iterator[str]:
        for tiles in self.plan.scales:
            if not len(tiles):
                scale = describe_scale(tiles.grid.spec.mpp)
                yield (
                    f"no tile of {self.slide.name} at {scale} holds enough tissue: its map stays "
                    "empty."
                )

    def save(self) -> str:
        """Write tables, picture and record where they belong; return a line that says where.

        Raises
        ------
        OutputError
            If they cannot be written.
        SlideError, IndexFilesError
            If they are written, and cannot go into the index that is asked for.
        """
        job, target = self.job, self.job.settings.target
        label = " and ".join(device.label for device in self.devices)
        card, reference = job.settings.card, job.settings.reference
        context = RunContext(card, label, self.warnings, reference=reference)
        folder = target.folder(job.name)
        wanted = {"geojson": job.settings.geojson, "report": job.settings.report}
        save_results(folder, self.slide, self.store, context, **wanted)
        target.deliver(job.name)
        message = f"{job.path.name}: {self._tiles_scored()}, results in {job.where}"
        index = job.settings.index
        return message if index is None else f"{message}; {index.add(self.slide, self.store)}"

    def _tiles_scored(self) -> str:
        total = self.plan.tile_count
        if self.store.complete:
            return counted(total, "tiles")
        done = self.store.blocks_done()
        scored = sum(block.tile_count for block in compress(self.plan.blocks, done))
        return f"{scored} of {total} tiles in the time there was"


def slide_jobs(paths: Sequence[Path], settings: BatchSettings) -> list[SlideJob]:
    """Give each slide a results folder of its own name."""
    names = result_folder_names(paths)
    return [SlideJob(path, name, settings) for path, name in zip(paths, names, strict=True)]
