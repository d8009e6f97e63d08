"""`napari-smse score` and `rerun`: their options, and what stops them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from napari_smse.annotations import read_regions
from napari_smse.cli.console import Console
from napari_smse.cli.options import (
    DEFAULT_LEFT_OUT,
    DEFAULT_SCALES,
    AnyStain,
    Device,
    Devices,
    Float32,
    Icc,
    LeaveOut,
    MaskMpp,
    MinTissue,
    ModelName,
    Overlap,
    Precision,
    Quiet,
    Roi,
    Scales,
    ShardOf,
    Slides,
    SourceMpp,
    TimeLimit,
    TissueMaskAgain,
    TissueMaskFile,
    chosen_scales,
    split_names,
)
from napari_smse.cli.progress import BatchProgress, TaskProgress
from napari_smse.cli.report import Models, SlidesFolder
from napari_smse.errors import RequestError
from napari_smse.metrics.estimate import counted
from napari_smse.models import read_card
from napari_smse.progress import run_task
from napari_smse.similarity.ood.reference import load_ood_reference
from napari_smse.slides.probe import require_openable
from napari_smse.workflows.batch.destination import destination_from
from napari_smse.workflows.batch.discovery import find_slides
from napari_smse.workflows.batch.scorers import (
    WorkerScorer,
    load_on_fastest,
    score_here,
    workers,
)
from napari_smse.workflows.batch.slide_job import BatchSettings, SlideJob, slide_jobs
from napari_smse.workflows.index_slides import into_index
from napari_smse.workflows.replay.recorded_run import rerun
from napari_smse.workflows.settings.score import ScoreSettings, chosen_precision


def score_slides(
    context: typer.Context,
    slides: Slides,
    out: Annotated[str, typer.Option(help="Folder for the results, or a URL.", show_default=False)],
    mpp: Scales = DEFAULT_SCALES,
    source_mpp: SourceMpp = None,
    model: ModelName = "bundled",
    roi: Roi = None,
    device: Devices = "auto",
    precision: Precision = "auto",
    float32: Float32 = False,
    overlap: Overlap = 0.0,
    min_tissue: MinTissue = 0.25,
    any_stain: AnyStain = False,
    icc: Icc = False,
    time_limit: TimeLimit = None,
    tissue_mask: TissueMaskFile = None,
    leave_out: LeaveOut = DEFAULT_LEFT_OUT,
    mask_mpp: MaskMpp = None,
    geojson: Annotated[
        bool, typer.Option("--geojson", help="Also write the tiles as GeoJSON for QuPath.")
    ] = False,
    report: Annotated[
        bool, typer.Option("--report", help="Also write a report of each slide, as HTML and PDF.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another run's results, in the index, too.")
    ] = False,
    index: Annotated[
        Path | None, typer.Option(help="Also add each slide to this index, to be searched.")
    ] = None,
    local_workers: Annotated[
        int | None, typer.Option(help="Number of processes of this machine to score by.")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(help="Score by the workers of a Dask scheduler (tcp://… or tls://…)."),
    ] = None,
    shard: ShardOf = None,
    quiet: Quiet = False,
) -> None:
    """Score slides: tables, heat maps and embeddings, a folder for each slide.

    A folder stands for all slides in it and below. What was scored before is not scored again.
    """
    console = Console(quiet=quiet)
    _refuse_contradictions(local_workers, scheduler, time_limit)
    if index is not None and precision == "int8":
        raise RequestError(
            "Embeddings in int8 do not compare with those of other slides: leave out --index or "
            "--precision int8."
        )
    # Whatever is wrong with all slides alike is reported once, before anything takes time.
    card = read_card(model)
    scales = chosen_scales(context, mpp, model)
    number_format = chosen_precision(precision, float32=float32)
    scoring = ScoreSettings(
        scales,
        overlap,
        min_tissue,
        time_limit,
        device=device,
        precision=number_format,
        any_stain=any_stain,
        icc=icc,
        tissue_mask=tissue_mask,
        leave_out=split_names(leave_out),
        mask_mpp=mask_mpp,
    )
    scoring.request()
    settings = BatchSettings(
        target=destination_from(out),
        scoring=scoring,
        card=card,
        outlines=None if roi is None else read_regions(roi),
        source_mpp=source_mpp,
        geojson=geojson,
        report=report,
        overwrite=overwrite,
        reference=load_ood_reference(model, card.weights_sha256),
    )
    paths = find_slides(slides)
    scoring.require_masks(len(paths))
    settings = replace(settings, index=into_index(index, out, card, overwrite=overwrite))
    jobs = slide_jobs(paths, settings)
    if shard is not None:
        jobs = shard.jobs(jobs)
        console.report(shard.describe(len(jobs), len(paths)))
    scorer = Scorer(model, device, local_workers, scheduler)
    try:
        with BatchProgress(console, len(jobs)) as progress:
            scorer.score(jobs, settings, progress)
    except KeyboardInterrupt as stop:
        again = "the same command without --overwrite" if overwrite else "the same command"
        console.message(f"Stopped. What was scored is kept: {again} goes on from there.")
        raise typer.Exit(130) from stop
    if progress.failed:
        if len(jobs) > 1:
            what = "scored" if index is None else "scored, or added to the index"
            console.message(f"{progress.failed} of {len(jobs)} slides could not be {what}.")
        raise typer.Exit(1)


def _refuse_contradictions(
    local_workers: int | None, scheduler: str | None, time_limit: float | None
) -> None:
    if local_workers is not None and scheduler is not None:
        raise RequestError("Give --local-workers or --scheduler, not both.")
    if time_limit is not None and (local_workers is not None or scheduler is not None):
        # Where to look closer is decided on all answers so far, which no worker has.
        raise RequestError(
            "Workers score everything: leave out --time-limit, or score in this process, without "
            "--local-workers and --scheduler."
        )


@dataclass(frozen=True)
class Scorer:
    """How slides are scored.

    Parameters
    ----------
    model, devices
        By name.
    local_workers, scheduler
        Which workers score, if any.
    """

    model: str
    devices: str
    local_workers: int | None
    scheduler: str | None

    def score(
        self, jobs: Sequence[SlideJob], settings: BatchSettings, progress: BatchProgress
    ) -> None:
        """Score what is not finished; torch is there only from then on."""
        several = len(jobs) > 1
        jobs = [job for job in jobs if not _is_settled(job, progress, several=several)]
        if not jobs:
            return
        precision = settings.scoring.precision
        load = partial(load_on_fastest, self.model, self.devices, progress, precision=precision)
        if self.local_workers is None and self.scheduler is None:
            score_here(jobs, load, progress)
            return
        with workers(self.local_workers, self.scheduler) as client:
            model, devices = load()
            if len(devices) > 1:
                raise RequestError("Each worker runs the network on one device: name one only.")
            WorkerScorer(client, model, self.model, devices[0]).score(jobs, progress)


def _is_settled(job: SlideJob, progress: BatchProgress, *, several: bool) -> bool:
    """Whether nothing is left to do for a slide: it was scored already, or cannot be."""
    try:
        if several:  # a file that ends the process ends the others with it
            require_openable(job.path)
        if not job.is_finished():
            return False
        index = job.add_to_index()
    except Exception as error:
        progress.fail(error, job.path.name)
        return True
    progress.done(f"{job.path.name}: already scored, results in {job.where}{index}")
    return True


def rerun_recorded(
    recorded: Annotated[
        Path,
        typer.Argument(help="run.json, or the results folder it lies in.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the new results.", show_default=False)],
    model: Models = None,
    slides: SlidesFolder = None,
    device: Device = "auto",
    tissue_mask: TissueMaskAgain = None,
    quiet: Quiet = False,
) -> None:
    """Score a slide again as run.json records it, and tell how the scores differ.

    Slide and model must be those of the record: their hashes are compared first.
    """
    console = Console(quiet=quiet)
    running = rerun(
        recorded,
        out,
        models=tuple(model or ()),
        slides=slides,
        device=device,
        tissue_mask=tissue_mask,
    )
    with TaskProgress(console, "tiles") as bar:
        done = run_task(running, bar.show)
    console.report(f"{counted(done.tiles, 'tiles')} scored again, results in {done.folder}")
    console.report(f"largest difference of a probability: {done.largest_difference:.1e}")
    if not done.same_tiles:
        console.warn(
            f"{counted(done.only_before, 'tiles')} of the record were not scored now, and "
            f"{counted(done.only_now, 'tiles')} were not before: a time limit leaves other tiles "
            "out on another machine, and another version may find other tissue."
        )
