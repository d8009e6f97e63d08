"""`napari-smse rerun`: a recorded run, done again and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_smse.cli.console import Console
from napari_smse.cli.options import Device, Quiet
from napari_smse.cli.progress import TaskProgress
from napari_smse.cli.report import Models, SlidesFolder
from napari_smse.metrics.estimate import counted
from napari_smse.progress import run_task
from napari_smse.workflows.replay.recorded_run import rerun


def rerun_recorded(
    recorded: Annotated[
        Path,
        typer.Argument(help="run.json, or the results folder it lies in.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the new results.", show_default=False)],
    model: Models = None,
    slides: SlidesFolder = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Score a slide again as run.json records it, and tell how the scores differ.

    Slide and model must be those of the record: their hashes are compared first.
    """
    console = Console(quiet=quiet)
    running = rerun(recorded, out, models=tuple(model or ()), slides=slides, device=device)
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
