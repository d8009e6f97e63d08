"""`napari-smse report` and `cohort`: what was scored, for people to read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from napari_smse.cli.console import Console
from napari_smse.cli.options import Quiet
from napari_smse.errors import RequestError
from napari_smse.metrics.estimate import counted
from napari_smse.progress import Progress, run_task
from napari_smse.results import REPORT_NAME
from napari_smse.workflows.report.cohort import CohortSettings, saved_sources, write_cohort
from napari_smse.workflows.report.cohort_tiles import write_cohort_tiles
from napari_smse.workflows.report.saved_results import (
    ReportOutcome,
    find_results,
    write_reports,
)

Results = Annotated[
    list[Path],
    typer.Argument(help="Results of slides, or folders with such.", show_default=False),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        help="Path of a model that scored slides, unless it comes with the program. May be "
        "repeated.",
    ),
]
SlidesFolder = Annotated[
    Path | None, typer.Option("--slides", help="Folder of the slides, if they were moved.")
]


Positive = Annotated[
    str,
    typer.Option(
        help="The class that is looked for, in maps, summary and ROC; malignant, or the last.",
        show_default=False,
    ),
]


def report_slides(
    results: Results,
    model: Models = None,
    slides: SlidesFolder = None,
    positive: Positive = "",
    quiet: Quiet = False,
) -> None:
    """Write a report of each slide that was scored: report.html and report.pdf in its folder.

    A folder stands for all results in it and below.
    """
    console = Console(quiet=quiet)
    folders = find_results(results)
    failed = []

    def tell(progress: Progress) -> None:
        outcome = progress.detail
        assert isinstance(outcome, ReportOutcome)
        if outcome.problem is None:
            console.report(f"{outcome.folder / REPORT_NAME}")
        else:
            failed.append(outcome)
            console.error(outcome.problem)

    run_task(write_reports(folders, tuple(model or ()), slides, positive), tell)
    if failed:
        if len(folders) > 1:
            console.message(f"{len(failed)} of {len(folders)} slides could not be reported.")
        raise typer.Exit(1)


def report_cohort(
    results: Results,
    out: Annotated[Path | None, typer.Option(help="HTML page to write.")] = None,
    parquet: Annotated[
        Path | None, typer.Option(help="Parquet file to write, a row for each tile of all slides.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="CSV with the columns label, and case or slide: adds ROC and AUC."),
    ] = None,
    title: Annotated[str, typer.Option(help="First line of the page.")] = CohortSettings.title,
    model: Models = None,
    slides: SlidesFolder = None,
    positive: Positive = "",
    quiet: Quiet = False,
) -> None:
    """Write one page over many slides that were scored, or one table of all their tiles.

    A folder stands for all results in it and below. Slides of different models are never pooled.
    """
    console = Console(quiet=quiet)
    if out is None and parquet is None:
        raise RequestError("Say what to write: --out PAGE.html, --parquet TILES.parquet, or both.")
    folders = find_results(results)
    complete = True
    if parquet is not None:
        complete = _write_tiles(folders, parquet, labels, console)
    if out is not None:
        settings = CohortSettings(out, labels, tuple(model or ()), slides, title, positive)
        complete &= _write_page(folders, settings, console)
    if not complete:
        raise typer.Exit(1)


def _write_page(folders: Sequence[Path], settings: CohortSettings, console: Console) -> bool:
    """Write the page, and return whether any slide is on it."""
    cohort = run_task(write_cohort(saved_sources(folders, settings), settings))
    for warning in cohort.warnings:
        console.warn(warning)
    for group in cohort.groups:
        console.report(f"{group.model}: {counted(len(group.slides), 'slides')}")
        if group.comparison is not None:
            console.report(f"  {group.comparison.describe(group.class_name)}")
            for note in group.comparison.notes:
                console.warn(note)
    for slide in cohort.unscored:
        console.warn(f"{slide.name}: {slide.problem}")
    console.report(str(settings.out))
    return bool(cohort.groups)


def _write_tiles(folders: Sequence[Path], out: Path, labels: Path | None, console: Console) -> bool:
    """Write the table of all tiles, and return whether every slide is in it."""
    table = run_task(write_cohort_tiles(folders, out, labels))
    for problem in table.problems.values():
        console.error(problem)
    for warning in table.warnings:
        console.warn(warning)
    tiles, slides = counted(table.tiles, "tiles"), counted(table.slides, "slides")
    console.report(f"{out}: {tiles} of {slides}")
    if table.problems:
        console.message(f"{len(table.problems)} of {len(folders)} slides are not in {out.name}.")
    return not table.problems
