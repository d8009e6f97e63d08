"""`napari-smse score`: its options, and what stops it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from napari_smse.annotations import read_regions
from napari_smse.cli.console import tell
from napari_smse.cli.options import (
    DeviceNames,
    Exact,
    MinTissue,
    ModelName,
    Overlap,
    Quiet,
    Roi,
    Scales,
    SlideMpp,
    Slides,
    score_request,
)
from napari_smse.cli.progress import BatchProgress
from napari_smse.errors import RequestError
from napari_smse.models import read_card
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


def score_slides(
    slides: Slides,
    out: Annotated[str, typer.Option(help="Folder for the results, or a URL.", show_default=False)],
    mpp: Scales = None,
    slide_mpp: SlideMpp = None,
    model: ModelName = "bundled",
    roi: Roi = None,
    device: DeviceNames = "auto",
    exact: Exact = False,
    overlap: Overlap = 0.0,
    min_tissue: MinTissue = 0.25,
    minutes: Annotated[
        float | None,
        typer.Option(help="Time for each slide: all tissue once, then closer where in doubt."),
    ] = None,
    geojson: Annotated[bool, typer.Option("--geojson", help="Also write QuPath tiles.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another run's results, in the index, too.")
    ] = False,
    index: Annotated[
        Path | None, typer.Option(help="Also add each slide to this index, to be searched.")
    ] = None,
    local_workers: Annotated[
        int | None, typer.Option(help="Score by so many processes of this machine.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Score by the workers of a Dask scheduler (tcp://…).")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Score slides: tables, heat maps and embeddings, a folder for each slide.

    A folder stands for all slides in it and below. What was scored before is not scored again.
    """
    if quiet:
        logging.getLogger("napari_smse").setLevel(logging.ERROR)
    _refuse_contradictions(local_workers, scheduler, minutes)
    # Whatever is wrong with all slides alike is told once, before anything takes time.
    card = read_card(model)
    asked = BatchSettings(
        target=destination_from(out),
        request=score_request(mpp, overlap, min_tissue, coarse_first=minutes is not None),
        card=card,
        outlines=None if roi is None else read_regions(roi),
        mpp=slide_mpp,
        seconds=None if minutes is None else 60 * minutes,
        exact=exact,
        geojson=geojson,
        overwrite=overwrite,
    )
    found = find_slides(slides)
    asked = replace(asked, index=into_index(index, out, card, overwrite=overwrite))
    wanted = slide_jobs(found, asked)
    scoring = Scoring(model, device, local_workers, scheduler)
    try:
        with BatchProgress(len(wanted), quiet=quiet) as told:
            scoring.score(wanted, asked, told)
    except KeyboardInterrupt as stop:
        again = "the same command without --overwrite" if overwrite else "the same command"
        tell(f"Stopped. What was scored is kept: {again} goes on from there.")
        raise typer.Exit(130) from stop
    if told.failed:
        if len(wanted) > 1:
            what = "scored" if index is None else "scored, or added to the index"
            tell(f"{told.failed} of {len(wanted)} slides could not be {what}.")
        raise typer.Exit(1)


def _refuse_contradictions(
    local_workers: int | None, scheduler: str | None, minutes: float | None
) -> None:
    if local_workers is not None and scheduler is not None:
        raise RequestError("Give --local-workers or --scheduler, not both.")
    if minutes is None:
        return
    if not 0 < minutes < float("inf"):
        raise RequestError(f"There is no scoring in {minutes:g} minutes: give more than 0.")
    if local_workers is not None or scheduler is not None:
        # Where to look closer is decided on all answers so far, which no worker has.
        raise RequestError(
            "Workers score everything: leave out --minutes, or score in this process, without "
            "--local-workers and --scheduler."
        )


@dataclass(frozen=True)
class Scoring:
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

    def score(self, slides: Sequence[SlideJob], asked: BatchSettings, told: BatchProgress) -> None:
        """Score what is not finished; torch is there only from then on."""
        slides = [one for one in slides if not _is_settled(one, told)]
        if not slides:
            return
        if self.local_workers is None and self.scheduler is None:
            model, devices = load_on_fastest(self.model, self.devices, told, exact=asked.exact)
            score_here(slides, model, devices, told)
            return
        with workers(self.local_workers, self.scheduler) as client:
            model, devices = load_on_fastest(self.model, self.devices, told, exact=asked.exact)
            if len(devices) > 1:
                raise RequestError("Each worker runs the network on one device: name one only.")
            WorkerScorer(client, model, self.model, devices[0]).score(slides, told)


def _is_settled(slide: SlideJob, told: BatchProgress) -> bool:
    """Whether nothing is left to do for a slide: it was scored already, or cannot be."""
    try:
        if not slide.is_finished():
            return False
        index = slide.add_to_index()
    except Exception as error:
        told.fail(error, slide.path.name)
        return True
    told.done(f"{slide.path.name}: already scored, results in {slide.where}{index}")
    return True
