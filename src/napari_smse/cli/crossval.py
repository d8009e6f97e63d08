"""`napari-smse crossval`: how good a recipe is on cases that it did not see."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_smse.cli.console import Console
from napari_smse.cli.crossval_results import CrossValidationRun, report_run
from napari_smse.cli.files import read_images
from napari_smse.cli.options import (
    AsJson,
    Device,
    Images,
    Quiet,
    ScaleCurve,
    Seed,
    SourceMpp,
    Steps,
    ValidationFraction,
)
from napari_smse.cli.progress import TaskProgress
from napari_smse.cli.tables import describe_scale_point
from napari_smse.errors import DataError, TrainingError
from napari_smse.progress import Progress, run_task
from napari_smse.scoring import choose_device

if TYPE_CHECKING:
    from napari_smse.datasets.labelled_set import LabelledSet
    from napari_smse.datasets.splits import Fold
    from napari_smse.evaluation.cross_validation import FoldProgress, Learner

    _Split = tuple[int | Sequence[Fold], tuple[str, ...]]  # and what the reader must know of it

DEFAULT_FOLDS = 5
_TRAININGS = "napari-smse-unfinished-crossval"
"""Deleted when all is done, so that nothing of the user's may be called so."""


def crossval(
    data: Images,
    folds: Annotated[
        int | None,
        typer.Option(
            help=f"Number of folds to deal the cases into. {DEFAULT_FOLDS} by default.",
        ),
    ] = None,
    fold_lists: Annotated[
        Path | None,
        typer.Option(help="A file or folder of fold lists, instead of folds dealt by case."),
    ] = None,
    repeats: Annotated[
        int, typer.Option(help="Number of times to deal the cases into folds anew.")
    ] = 1,
    seeds: Annotated[
        int, typer.Option(help="Number of seeds to train each fold with, the folds unchanged.")
    ] = 1,
    recipe: Annotated[
        str,
        typer.Option(
            help="Recipe to train by: default, paper, frozen (the control), or the path of a JSON "
            "file."
        ),
    ] = "default",
    compare_losses: Annotated[
        bool, typer.Option("--compare-losses", help="Compare all losses on the same folds.")
    ] = False,
    scale_curve: ScaleCurve = False,
    drop_split_cases: Annotated[
        bool,
        typer.Option(
            "--drop-split-cases",
            help="Where a list splits a case, leave the case out of that fold's training.",
        ),
    ] = False,
    validation_fraction: ValidationFraction = 0.2,
    source_mpp: SourceMpp = None,
    steps: Steps = None,
    seed: Seed = 0,
    device: Device = "auto",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the figures, the predictions and the report. Until all is done, "
            "trainings are kept there, and the same command goes on with them."
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Cross-validate a recipe: no case is ever on both sides of a fold.

    Prints image accuracy and patient recognition rate (mean and standard deviation over folds),
    AUC, sensitivity and specificity with 95 % intervals from drawing whole cases.
    """
    from napari_smse.evaluation.learners import takes_tiles

    console = Console(quiet=quiet, as_json=as_json)
    _refuse_contradictions(folds, fold_lists, repeats, seeds)
    if scale_curve and (compare_losses or not takes_tiles(recipe)):
        raise TrainingError(
            "--scale-curve needs one recipe whose network takes tiles at a scale: leave out "
            f"--compare-losses, and give another --recipe than {recipe} if that is the paper's."
        )
    chosen = choose_device(device)
    images = read_images(data, source_mpp, console)
    images.require_trainable()
    number = DEFAULT_FOLDS if folds is None else folds
    if fold_lists is None:
        split, notices = _deal(images, number, seeds, seed)
    else:
        split, notices = _read_lists(fold_lists, images, drop_split_cases)
    for notice in notices:
        console.report(notice)
    settings = {
        "data": str(data),
        "recipe": recipe,
        "folds": f"{number}, grouped by case" if fold_lists is None else str(fold_lists),
        "repeats": str(max(repeats, seeds)) + (", same folds" if seeds > 1 else ""),
        "validation share": f"{validation_fraction:g} of the training cases",
        "seed": str(seed),
        "device": chosen.label,
    }
    run = CrossValidationRun(
        data, images, split, max(repeats, seeds), validation_fraction, seed, settings, notices
    )
    console.report(f"Cross-validating {recipe} on {chosen.label}. Research use only.")
    try:
        trainings = None if out is None else out / _TRAININGS
        first = _train_all(
            run, recipe, compare_losses, steps, chosen.torch_name, console, trainings
        )
        if scale_curve:
            _measure_scales(run, first, console)
    except KeyboardInterrupt as stop:
        console.message(
            "Stopped. With --out, what was trained stays there, and the same command goes on."
        )
        raise typer.Exit(130) from stop
    report_run(run, out, console)
    if trainings is not None:
        shutil.rmtree(trainings, ignore_errors=True)


def _refuse_contradictions(
    folds: int | None, fold_lists: Path | None, repeats: int, seeds: int
) -> None:
    if min(repeats, seeds) < 1:
        raise TrainingError("--repeats and --seeds count from 1: give a whole number above 0.")
    if fold_lists is not None and folds is not None:
        raise TrainingError(
            "--folds deals the cases and --fold-lists states who is in which fold: give only one "
            "of both."
        )
    if repeats > 1 and (seeds > 1 or fold_lists is not None):
        raise TrainingError(
            "--repeats deals the cases anew and --seeds trains the same folds again: with "
            "--fold-lists use --seeds, and give only one of both."
        )


def _deal(images: LabelledSet, number: int, seeds: int, seed: int) -> _Split:
    """Return the folds if they are to be the same for all seeds, else how many to deal."""
    from napari_smse.datasets.splits import grouped_folds

    folds = grouped_folds(images.images, number, seed)
    return (folds if seeds > 1 else number), ()


def _read_lists(path: Path, images: LabelledSet, drop_split_cases: bool) -> _Split:
    """Return the folds that lists state."""
    from napari_smse.datasets.published_folds import read_folds

    if not path.exists():
        raise DataError(f"{path} does not exist: give --fold-lists a file or folder of lists.")
    lists = read_folds(path, images, drop_split_cases=drop_split_cases)
    return lists.folds, lists.notices


def _train_all(
    run: CrossValidationRun,
    recipe: str,
    compare_losses: bool,
    steps: int | None,
    device: str,
    console: Console,
    trainings: Path | None,
) -> list[FoldProgress]:
    """Train and predict all folds; return those of the first repeat."""
    from napari_smse.evaluation.learners import FeatureCaches, create_learner

    feature_caches: FeatureCaches = {}
    with TaskProgress(console, "folds") as bar:

        def make(**losses: str) -> Learner:
            return create_learner(
                recipe,
                device=device,
                steps=steps,
                on_message=lambda text: bar.update(facts=text),
                feature_caches=feature_caches,
                folder=trainings,
                **losses,
            )

        if not compare_losses:
            return _run_folds(run, make(), bar)
        _compare_losses(run, make, bar)
        return []


def _run_folds(run: CrossValidationRun, learner: Learner, bar: TaskProgress) -> list[FoldProgress]:
    from napari_smse.evaluation.cross_validation import FoldProgress, cross_validation
    from napari_smse.evaluation.loss_comparison import both_selections

    first: list[FoldProgress] = []

    def remember(fold: Progress) -> None:
        assert isinstance(fold, FoldProgress)
        if fold.done * run.repeats <= fold.total:
            first.append(fold)
        bar.update(fold.done, fold.total)

    running = cross_validation(learner, run.images, run.folds, **run.protocol)
    found = run_task(both_selections(running), remember)
    run.held_out, run.selected_on_test = found.held_out, found.selected_on_test
    return first


def _measure_scales(
    run: CrossValidationRun, folds: Sequence[FoldProgress], console: Console
) -> None:
    from napari_smse.evaluation.scale_curve import held_out_scale_curve

    for point in held_out_scale_curve(folds, run.images):
        console.report(describe_scale_point(point))
        run.scale_curve.append(point)


def _compare_losses(
    run: CrossValidationRun, make: Callable[..., Learner], bar: TaskProgress
) -> None:
    """Keep the predictions of the full method (triplet, reinforced focal) for the figures."""
    from napari_smse.evaluation.loss_comparison import compare_losses, loss_comparison_table

    running = compare_losses(
        lambda similarity, classification: make(
            similarity=similarity, classification=classification
        ),
        run.images,
        run.folds,
        **run.protocol,
    )
    found = run_task(running, bar.show)
    run.loss_comparison = loss_comparison_table(found, run.images)
    full_method = found["triplet", "reinforced focal"]
    run.held_out, run.selected_on_test = full_method.held_out, full_method.selected_on_test
