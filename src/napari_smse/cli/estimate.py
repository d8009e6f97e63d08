"""`napari-smse estimate`: how many tiles slides have, and how long they will take."""

from __future__ import annotations

import os

import typer

from napari_smse.annotations import read_regions
from napari_smse.cli.options import (
    DeviceNames,
    Exact,
    MinTissue,
    ModelName,
    Overlap,
    Roi,
    Scales,
    SlideMpp,
    Slides,
    score_request,
)
from napari_smse.cli.progress import BatchProgress
from napari_smse.models import read_card
from napari_smse.scoring import TimeEstimate, estimate, require_tiles
from napari_smse.slides import open_slide
from napari_smse.workflows.batch.discovery import find_slides
from napari_smse.workflows.batch.scorers import load_on_fastest
from napari_smse.workflows.batch.slide_job import request_on


def estimate_slides(
    slides: Slides,
    mpp: Scales = None,
    slide_mpp: SlideMpp = None,
    model: ModelName = "bundled",
    roi: Roi = None,
    device: DeviceNames = "auto",
    exact: Exact = False,
    overlap: Overlap = 0.0,
    min_tissue: MinTissue = 0.25,
) -> None:
    """Tell how long slides will take, by scoring each for two seconds; nothing is kept."""
    request = score_request(mpp, overlap, min_tissue)
    require_tiles(read_card(model))
    outlines = None if roi is None else read_regions(roi)
    found = find_slides(slides)
    estimates: list[TimeEstimate] = []
    with BatchProgress(len(found), quiet=False) as told:
        loaded, devices = load_on_fastest(model, device, told, exact=exact)
        for path in found:
            try:
                with open_slide(path, mpp=slide_mpp) as slide:
                    plan = request_on(slide, request, outlines).plan(slide, loaded.card)
                    threads = os.cpu_count() or 1
                    estimates.append(estimate(slide, loaded, plan, devices, threads=threads))
            except Exception as error:
                told.fail(error, path.name)
                continue
            told.done(f"{path.name}: {_line(estimates[-1])}")
    if len(estimates) > 1:
        tiles = sum(one.tiles for one in estimates)
        told.say(f"In all: {tiles:,} tiles, {_time(sum(one.seconds for one in estimates))}.")
    if told.failed:
        raise typer.Exit(1)


def _line(found: TimeEstimate) -> str:
    text = f"{found.tiles:,} tiles, {_time(found.seconds)}"
    if found.bottleneck is None:
        return text
    return f"{text} ({found.rate:.0f} tiles/s; {found.bottleneck} sets the pace)"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    return f"about {hours} h {rest} min" if hours else f"about {minutes} min"
