"""`napari-smse index`: score slides and add them to an index."""

from __future__ import annotations

from importlib import util
from pathlib import Path
from typing import Annotated

import typer

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
    Quiet,
    Scales,
    ShardOf,
    Slides,
    SourceMpp,
    TissueMaskFile,
    chosen_scales,
    split_names,
)
from napari_smse.cli.progress import BatchProgress
from napari_smse.errors import RequestError
from napari_smse.metrics.estimate import counted
from napari_smse.models import read_card
from napari_smse.scoring import require_tiles
from napari_smse.similarity.index.approximate import require_usearch
from napari_smse.similarity.index.slide_index import APPROXIMATE_FROM, SlideIndex
from napari_smse.similarity.ood.reference import load_ood_reference
from napari_smse.workflows.batch.destination import LocalDestination
from napari_smse.workflows.batch.discovery import find_slides
from napari_smse.workflows.batch.indexing import Indexing, slides_to_index
from napari_smse.workflows.batch.sharding import BatchShard
from napari_smse.workflows.batch.slide_job import BatchSettings
from napari_smse.workflows.settings.score import ScoreSettings, chosen_precision

RESULTS_NAME = "results"
"""Folder in an index where the scores of its slides lie, unless they lie elsewhere."""


def index_slides(
    context: typer.Context,
    slides: Slides,
    out: Annotated[Path, typer.Option(help="Folder of the index; it grows.", show_default=False)],
    mpp: Scales = DEFAULT_SCALES,
    source_mpp: SourceMpp = None,
    model: ModelName = "bundled",
    device: Devices = "auto",
    float32: Float32 = False,
    overlap: Overlap = 0.0,
    min_tissue: MinTissue = 0.25,
    any_stain: AnyStain = False,
    icc: Icc = False,
    tissue_mask: TissueMaskFile = None,
    leave_out: LeaveOut = DEFAULT_LEFT_OUT,
    mask_mpp: MaskMpp = None,
    results: Annotated[
        Path | None,
        typer.Option(help="Folder that `score` wrote to: what is scored there is used."),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace slides that were added with other settings."),
    ] = False,
    approximate: Annotated[
        bool, typer.Option("--approximate", help="Also make an approximate index (usearch).")
    ] = False,
    shard: ShardOf = None,
    quiet: Quiet = False,
) -> None:
    """Score slides and add them to an index, to search for tissue in all of them.

    A folder stands for all slides in it and below. What is in the index costs nothing, and after a
    stop the same command goes on.
    """
    console = Console(quiet=quiet)
    if approximate:
        _require_whole_batch(shard)
        require_usearch()
    # Whatever is wrong with all slides alike is reported once, before anything takes time.
    scales = chosen_scales(context, mpp, model)
    # Not int8: embeddings of an index are compared with those of other slides and machines.
    number_format = chosen_precision("auto", float32=float32)
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
    paths = find_slides(slides)
    scoring.require_masks(len(paths))
    index = SlideIndex.make(out, card.weights_sha256, card.name)
    settings = BatchSettings(
        LocalDestination(out / RESULTS_NAME if results is None else results),
        scoring,
        card,
        source_mpp=source_mpp,
        reference=load_ood_reference(model, card.weights_sha256),
    )
    jobs = slides_to_index(paths, settings, own_folder=results is None)
    if shard is not None:
        jobs = shard.jobs(jobs)
        console.report(shard.describe(len(jobs), len(paths)))
    try:
        with BatchProgress(console, len(jobs)) as progress:
            progress.warn(index.warnings)
            Indexing(index, settings, model, device, progress, overwrite=overwrite).add(jobs)
            if approximate or (shard is None and _is_large(index)):
                for step in index.build_approximate():
                    progress.tiles("approximate index", step)
            progress.report(
                f"Index {out}: {counted(len(index.slides), 'slides')}, "
                f"{counted(index.tile_count, 'tiles')}."
            )
    except KeyboardInterrupt as stop:
        console.message(
            "Stopped. What was scored and indexed is kept: the same command goes on from there."
        )
        raise typer.Exit(130) from stop
    if progress.failed:
        if len(jobs) > 1:
            console.message(f"{progress.failed} of {len(jobs)} slides could not be indexed.")
        raise typer.Exit(1)


def _require_whole_batch(shard: BatchShard | None) -> None:
    if shard is not None:
        raise RequestError(
            "An approximate index is made of all slides: leave out --approximate, and give the "
            "command again without --shard when all parts are done."
        )


def _is_large(index: SlideIndex) -> bool:
    return index.max_tiles >= APPROXIMATE_FROM and util.find_spec("usearch") is not None
