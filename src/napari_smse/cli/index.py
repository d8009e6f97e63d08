"""`napari-smse index`: score slides and add them to an index."""

from __future__ import annotations

import logging
from importlib import util
from pathlib import Path
from typing import Annotated

import typer

from napari_smse.cli.console import tell
from napari_smse.cli.options import (
    DeviceNames,
    Exact,
    MinTissue,
    ModelName,
    Overlap,
    Quiet,
    Scales,
    SlideMpp,
    Slides,
    score_request,
)
from napari_smse.cli.progress import BatchProgress
from napari_smse.models import read_card
from napari_smse.scoring import Progress, require_tiles
from napari_smse.similarity.index.approximate import require_usearch
from napari_smse.similarity.index.slide_index import APPROXIMATE_FROM, SlideIndex
from napari_smse.workflows.batch.destination import LocalDestination
from napari_smse.workflows.batch.discovery import find_slides
from napari_smse.workflows.batch.indexing import Indexing, slides_to_index
from napari_smse.workflows.batch.slide_job import BatchSettings

RESULTS_NAME = "results"
"""Folder in an index where the scores of its slides lie, unless they lie elsewhere."""

IndexPicker = Annotated[
    Path, typer.Option("--out", help="Folder of the index; it grows.", show_default=False)
]


def index_slides(
    slides: Slides,
    out: IndexPicker,
    mpp: Scales = None,
    slide_mpp: SlideMpp = None,
    model: ModelName = "bundled",
    device: DeviceNames = "auto",
    exact: Exact = False,
    overlap: Overlap = 0.0,
    min_tissue: MinTissue = 0.25,
    results: Annotated[
        Path | None,
        typer.Option(help="Folder that `score` wrote to: what is scored there is used."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace slides of other settings.")
    ] = False,
    approximate: Annotated[
        bool, typer.Option("--approximate", help="Also make an approximate index (usearch).")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Score slides and add them to an index, to search for tissue in all of them.

    A folder stands for all slides in it and below. What is in the index costs nothing, and after a
    stop the same command goes on.
    """
    if quiet:
        logging.getLogger("napari_smse").setLevel(logging.ERROR)
    if approximate:
        require_usearch()
    # Whatever is wrong with all slides alike is told once, before anything takes time.
    request, card = score_request(mpp, overlap, min_tissue), read_card(model)
    require_tiles(card)
    found = find_slides(slides)
    index = SlideIndex.make(out, card.weights_sha256, card.name)
    asked = BatchSettings(
        LocalDestination(out / RESULTS_NAME if results is None else results),
        request,
        card,
        mpp=slide_mpp,
        exact=exact,
    )
    wanted = slides_to_index(found, asked, own_folder=results is None)
    try:
        with BatchProgress(len(found), quiet=quiet) as told:
            told.warn(index.warnings)
            Indexing(index, asked, model, device, told, overwrite=overwrite).add(wanted)
            if approximate or _is_large(index):
                for progress in index.build_approximate():
                    told.tiles("approximate index", Progress(progress.done, progress.total))
            told.say(f"Index {out}: {len(index.slides)} slides, {index.tile_count:,} tiles.")
    except KeyboardInterrupt as stop:
        tell("Stopped. What was scored and indexed is kept: the same command goes on from there.")
        raise typer.Exit(130) from stop
    if told.failed:
        if len(found) > 1:
            tell(f"{told.failed} of {len(found)} slides could not be indexed.")
        raise typer.Exit(1)


def _is_large(index: SlideIndex) -> bool:
    return index.max_tiles >= APPROXIMATE_FROM and util.find_spec("usearch") is not None
