"""Slides on their way from a path into an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from napari_smse.errors import OutputError, SlideError
from napari_smse.results import STORE_NAME, folder_name
from napari_smse.scoring import ComputeDevice, ScoreStore, score
from napari_smse.scoring.device import usable_cores
from napari_smse.similarity.index.index_files import AddOutcome
from napari_smse.similarity.index.shard import indexed_slide
from napari_smse.similarity.index.slide_index import SlideIndex
from napari_smse.slides import Slide, open_slide
from napari_smse.slides.identity import quick_hash, slide_name
from napari_smse.slides.probe import require_openable
from napari_smse.workflows.batch.scorers import BatchReporter, load_on_fastest, planned_jobs
from napari_smse.workflows.batch.slide_job import (
    BatchSettings,
    OpenJob,
    PlannedJob,
    SlideJob,
    slide_jobs,
)


class Indexing:
    """Adds slides to an index, and scores first what was not scored before.

    Parameters
    ----------
    index
        Where to add them.
    settings
        How they are to be scored.
    model, devices
        By name.
    reporter
        Where to report it.
    overwrite
        Replace slides that are there with other settings.
    """

    def __init__(
        self,
        index: SlideIndex,
        settings: BatchSettings,
        model: str,
        devices: str,
        reporter: BatchReporter,
        *,
        overwrite: bool,
    ) -> None:
        self._index, self._settings, self._reporter = index, settings, reporter
        self._model, self._devices, self._overwrite = model, devices, overwrite

    def add(self, jobs: Sequence[SlideJob]) -> None:
        """Add slides, each as soon as it is scored; torch is there only if one must be."""
        several = len(jobs) > 1
        left = [job for job in jobs if not self._is_settled(job, several=several)]
        settings = self._settings
        network = None
        for job, planned in planned_jobs(left, self._reporter):
            network = network or load_on_fastest(
                self._model, self._devices, self._reporter, precision=settings.scoring.precision
            )
            model, devices = network
            try:
                with self._prepared(planned, devices) as prepared:
                    self._reporter.warn(prepared.warnings)
                    running = score(
                        prepared.slide,
                        model,
                        prepared.plan,
                        prepared.store,
                        devices,
                        threads=usable_cores(),
                    )
                    for progress in running:
                        self._reporter.tiles(job.path.name, progress)
                    prepared.save()
                    self._append(job, prepared.slide, prepared.store)
            except Exception as error:
                self._reporter.fail(error, job.path.name)

    def _is_settled(self, job: SlideJob, *, several: bool) -> bool:
        """Whether nothing is left to score: it is in the index, scored before, or cannot be."""
        try:
            if several:  # a file that ends the process ends the others with it
                require_openable(job.path)
            with open_slide(job.path, mpp=self._settings.source_mpp) as slide:
                if self._is_there(job, slide):
                    return True
                if not job.is_finished():
                    return False
                folder = self._settings.target.folder(job.name)
                self._append(job, slide, ScoreStore.open(folder / STORE_NAME))
        except Exception as error:
            self._reporter.fail(error, job.path.name)
        return True

    def _is_there(self, job: SlideJob, slide: Slide) -> bool:
        card = self._settings.card
        facts = {
            "model": {
                "hash": card.weights_sha256,
                "name": card.name,
                "classes": list(card.classes),
            },
            "request": self._settings.scoring.request(None, slide).facts(),
        }
        planned = indexed_slide(slide, facts)
        if self._index.planned(planned, replace=self._overwrite) is not AddOutcome.SAME:
            return False
        moved = self._index.move(planned)
        there = self._index.find(planned.quick_hash)
        tiles = 0 if there is None else there.tile_count
        outcome = "now found here" if moved else "already in the index"
        self._reporter.done(f"{job.path.name}: {outcome}, {tiles:,} tiles")
        return True

    def _prepared(self, planned: PlannedJob, devices: Sequence[ComputeDevice]) -> OpenJob:
        try:
            return planned.prepare(devices)
        except OutputError:
            if not self._overwrite:
                raise
        # Only what holds another run's scores is begun anew: a stopped run goes on.
        anew = replace(planned.job, settings=replace(self._settings, overwrite=True))
        return replace(planned, job=anew).prepare(devices)

    def _append(self, job: SlideJob, slide: Slide, store: ScoreStore) -> None:
        added = self._index.add_scored(slide, store, replace=self._overwrite)
        there = self._index.find(slide.quick_hash)
        tiles = 0 if there is None else there.tile_count
        self._reporter.done(f"{job.path.name}: {tiles:,} tiles {added}")


def slides_to_index(
    paths: Sequence[Path], settings: BatchSettings, *, own_folder: bool
) -> list[SlideJob]:
    """Give each slide a results folder.

    Parameters
    ----------
    paths
        The slides.
    settings
        How they are to be scored.
    own_folder
        Name folders by the slides' content, too: an index grows by slides from many folders, some
        of which may have the same name. Otherwise they are named as `score` names them.
    """
    if not own_folder:
        return slide_jobs(paths, settings)
    return [SlideJob(path, _own_name(path), settings) for path in paths]


def _own_name(path: Path) -> str:
    try:
        return folder_name(f"{slide_name(path)}-{quick_hash(path)[:12]}")
    except (OSError, IndexError, SlideError):
        return folder_name(slide_name(path))  # opening it says what is wrong
