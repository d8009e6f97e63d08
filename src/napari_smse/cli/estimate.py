"""`napari-smse estimate`: how many tiles slides have, and how long they will take."""

from __future__ import annotations

import os

import typer

from napari_smse.annotations import read_regions
from napari_smse.cli.console import Console
from napari_smse.cli.options import (
    Devices,
    Float32,
    MinTissue,
    ModelName,
    Overlap,
    Roi,
    Scales,
    Slides,
    SourceMpp,
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
    source_mpp: SourceMpp = None,
    model: ModelName = "bundled",
    roi: Roi = None,
    device: Devices = "auto",
    float32: Float32 = False,
    overlap: Overlap = 0.0,
    min_tissue: MinTissue = 0.25,
) -> None:
    """Estimate how long slides will take, by scoring each for two seconds; nothing is kept."""
    request = score_request(mpp, overlap, min_tissue)
    require_tiles(read_card(model))
    outlines = None if roi is None else read_regions(roi)
    paths = find_slides(slides)
    estimates: list[TimeEstimate] = []
    with BatchProgress(Console(), len(paths)) as progress:
        loaded, devices = load_on_fastest(model, device, progress, float32=float32)
        for path in paths:
            try:
                with open_slide(path, mpp=source_mpp) as slide:
                    plan = request_on(slide, request, outlines).plan(slide, loaded.card)
                    threads = os.cpu_count() or 1
                    estimates.append(estimate(slide, loaded, plan, devices, threads=threads))
            except Exception as error:
                progress.fail(error, path.name)
                continue
            progress.done(f"{path.name}: {_describe(estimates[-1])}")
    if len(estimates) > 1:
        tiles = sum(each.tiles for each in estimates)
        seconds = sum(each.seconds for each in estimates)
        progress.report(f"In all: {tiles:,} tiles, {_describe_time(seconds)}.")
    if progress.failed:
        raise typer.Exit(1)


def _describe(estimated: TimeEstimate) -> str:
    text = f"{estimated.tiles:,} tiles, {_describe_time(estimated.seconds)}"
    if estimated.bottleneck is None:
        return text
    return f"{text} ({estimated.rate:.0f} tiles/s; {estimated.bottleneck} sets the pace)"


def _describe_time(seconds: float) -> str:
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    return f"about {hours} h {rest} min" if hours else f"about {minutes} min"
