"""`napari-smse estimate`: how many tiles slides have, and how long they will take."""

from __future__ import annotations

import typer

from napari_smse.annotations import read_regions
from napari_smse.cli.console import Console
from napari_smse.cli.options import (
    DEFAULT_LEFT_OUT,
    DEFAULT_SCALES,
    AnyStain,
    Devices,
    Float32,
    Icc,
    LeaveOut,
    MaskMpp,
    MinTissue,
    ModelName,
    Overlap,
    Precision,
    Roi,
    Scales,
    ShardOf,
    Slides,
    SourceMpp,
    TissueMaskFile,
    chosen_scales,
    split_names,
)
from napari_smse.cli.progress import BatchProgress
from napari_smse.models import read_card
from napari_smse.scoring import require_tiles
from napari_smse.workflows.batch import estimation
from napari_smse.workflows.batch.discovery import find_slides
from napari_smse.workflows.settings.score import ScoreSettings, chosen_precision


def estimate_slides(
    context: typer.Context,
    slides: Slides,
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
    tissue_mask: TissueMaskFile = None,
    leave_out: LeaveOut = DEFAULT_LEFT_OUT,
    mask_mpp: MaskMpp = None,
    shard: ShardOf = None,
) -> None:
    """Estimate how long slides will take, by scoring each for two seconds; nothing is kept."""
    scales = chosen_scales(context, mpp, model)
    number_format = chosen_precision(precision, float32=float32)
    scoring = ScoreSettings(
        scales,
        overlap,
        min_tissue,
        device=device,
        precision=number_format,
        any_stain=any_stain,
        icc=icc,
        tissue_mask=tissue_mask,
        leave_out=split_names(leave_out),
        mask_mpp=mask_mpp,
    )
    scoring.request()
    card = read_card(model)
    require_tiles(card)
    outlines = None if roi is None else read_regions(roi)
    paths = batch = find_slides(slides)
    scoring.require_masks(len(paths))
    console = Console()
    if shard is not None:
        paths = shard.part(batch)
        console.report(shard.describe(len(paths), len(batch)))
    with BatchProgress(console, len(paths)) as progress:
        estimation.estimate_slides(
            paths, model, card, scoring, progress, outlines=outlines, source_mpp=source_mpp
        )
    if progress.failed:
        if len(paths) > 1:
            console.message(f"{progress.failed} of {len(paths)} slides could not be estimated.")
        raise typer.Exit(1)
