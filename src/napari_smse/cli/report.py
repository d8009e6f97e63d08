"""`napari-smse report` and `cohort`: what was scored, for people to read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_smse.cli.console import Console
from napari_smse.cli.options import Quiet
from napari_smse.metrics.estimate import counted
from napari_smse.progress import Progress, run_task
from napari_smse.results import REPORT_NAME
from napari_smse.workflows.report.cohort import CohortSettings, saved_sources, write_cohort
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
    out: Annotated[Path, typer.Option(help="HTML page to write.", show_default=False)],
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
    """Write one page over many slides that were scored: pictures, shares, and AUC against labels.

    A folder stands for all results in it and below. Slides of different models are never pooled.
    """
    console = Console(quiet=quiet)
    settings = CohortSettings(out, labels, tuple(model or ()), slides, title, positive)
    cohort = run_task(write_cohort(saved_sources(find_results(results), settings), settings))
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
    console.report(str(out))
    if not cohort.groups:
        raise typer.Exit(1)
