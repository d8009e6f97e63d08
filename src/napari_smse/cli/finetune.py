"""`napari-smse finetune`: a model adapted to labelled images of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from napari_smse import models
from napari_smse.atomic_write import remove_parts
from napari_smse.cli.console import Console
from napari_smse.cli.files import read_images, report_images, skipped_values
from napari_smse.cli.options import (
    AsJson,
    Device,
    ModelArgument,
    ModelOut,
    OverwriteModel,
    Quiet,
    Seed,
    SourceMpp,
    setting,
)
from napari_smse.cli.progress import TaskProgress
from napari_smse.errors import DataError
from napari_smse.models.card import CARD_SUFFIX
from napari_smse.models.model_files import model_stem, new_model_paths
from napari_smse.progress import Progress, run_task
from napari_smse.scoring import choose_device, store_lock
from napari_smse.workflows.settings.fine_tune import (
    Classification,
    FineTuneSettings,
    Loss,
    Mining,
    TrainableLayers,
)
from napari_smse.workflows.settings.score import ScoreSettings

if TYPE_CHECKING:
    from napari_smse.finetuning.annotated_tiles import AnnotatedTiles
    from napari_smse.finetuning.assessment import Assessment
    from napari_smse.finetuning.fine_tuner import FineTuner
    from napari_smse.finetuning.result import FineTuneResult
    from napari_smse.models import Model
    from napari_smse.scoring import ComputeDevice


def finetune(
    context: typer.Context,
    model: ModelArgument,
    data: Annotated[
        Path,
        typer.Argument(
            help="Labelled images: a folder (of slides with GeoJSON beside them, too) or a list "
            "of sources.",
            show_default=False,
        ),
    ],
    out: ModelOut,
    loss: Annotated[Loss, setting(FineTuneSettings, "loss")] = FineTuneSettings.loss,
    trainable: Annotated[
        TrainableLayers, setting(FineTuneSettings, "trainable")
    ] = FineTuneSettings.trainable,
    margin: Annotated[float | None, setting(FineTuneSettings, "margin")] = None,
    classification: Annotated[
        Classification, setting(FineTuneSettings, "classification")
    ] = FineTuneSettings.classification,
    mining: Annotated[Mining, setting(FineTuneSettings, "mining")] = FineTuneSettings.mining,
    learning_rate: Annotated[float | None, setting(FineTuneSettings, "learning_rate")] = None,
    crops: Annotated[int | None, setting(FineTuneSettings, "crops")] = None,
    steps: Annotated[int | None, setting(FineTuneSettings, "steps")] = None,
    time_limit: Annotated[float | None, setting(FineTuneSettings, "time_limit")] = None,
    replay_weight: Annotated[
        float, setting(FineTuneSettings, "replay_weight")
    ] = FineTuneSettings.replay_weight,
    test_fraction: Annotated[
        float, typer.Option(help="Fraction of the cases to hold out and to measure on.")
    ] = 0.25,
    source_mpp: SourceMpp = None,
    mpp: Annotated[list[float] | None, setting(ScoreSettings, "mpp")] = None,
    seed: Seed = 0,
    device: Device = "auto",
    overwrite: OverwriteModel = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Fine-tune a model on labelled images, and compare it before and after on cases held out.

    The model itself is not changed. About a hundred labelled images of a new laboratory are
    often enough. --mpp is for annotated slides only.
    """
    from napari_smse.finetuning.fine_tuner import FineTuner
    from napari_smse.workflows.fine_tune import recipe_from

    console = Console(quiet=quiet, as_json=as_json)
    new_model_paths(out, overwrite=overwrite)
    stem = model_stem(out)
    context.with_resource(store_lock(stem))  # of two at once, one would learn for nothing
    remove_parts(stem)
    chosen = choose_device(device)
    loaded = models.load_model(model)
    settings = FineTuneSettings(
        loss=loss,
        trainable=trainable,
        replay_weight=replay_weight,
        steps=steps,
        time_limit=time_limit,
        classification=classification,
        margin=margin,
        mining=mining,
        learning_rate=learning_rate,
        crops=crops,
    )
    recipe = recipe_from(settings, seed)
    tiles = _read_tiles(data, source_mpp, mpp or [], loaded, chosen, console)
    tuner = FineTuner(
        loaded,
        tiles.labelled_set,
        recipe,
        held_out_fraction=test_fraction,
        replay_weight=replay_weight,
        device=chosen.torch_name,
        precomputed=tiles.outputs,
        seconds=settings.time_limit,
        constraints=tiles.constraints,
        exemplars=tiles.exemplars,
        crops=settings.crops_of(len(tiles.labelled_set.images), stored=bool(tiles.outputs)),
        appearances=tiles.appearances,
    )
    for warning in tuner.warnings:
        console.warn(warning)
    console.report(
        f"Fine-tuning {loaded.card.name} on {len(tuner.training)} images, {len(tuner.testing)} "
        f"held out, on {chosen.label}. Research use only."
    )
    try:
        tuned = _fine_tune(tuner, console)
    except KeyboardInterrupt as stop:
        console.message("Stopped. The model is as it was, and nothing was written.")
        raise typer.Exit(130) from stop
    _report(tuner, tuned, out, console)


def _read_tiles(
    path: Path,
    source_mpp: float | None,
    mpps: Sequence[float],
    model: Model,
    device: ComputeDevice,
    console: Console,
) -> AnnotatedTiles:
    """Read what is at a path: of annotated slides the tiles that the viewer would learn from.

    Raises
    ------
    DataError
        There is nothing to learn from.
    """
    from napari_smse.datasets.readers.annotated_slides import holds_annotated_slides
    from napari_smse.finetuning.annotated_tiles import AnnotatedTiles

    if not path.is_dir() or not holds_annotated_slides(path):
        if mpps:
            raise DataError(
                "--mpp is for annotated slides: labelled images are cut at all scales that the "
                "model knows; leave it out."
            )
        return AnnotatedTiles(read_images(path, source_mpp, console), {}, 0)
    return _slide_tiles(path, source_mpp, mpps, model, device, console)


def _slide_tiles(
    path: Path,
    source_mpp: float | None,
    mpps: Sequence[float],
    model: Model,
    device: ComputeDevice,
    console: Console,
) -> AnnotatedTiles:
    from napari_smse.finetuning.annotated_folder import DEFAULT_MPPS, scored_annotations

    def show(progress: Progress) -> None:
        done, total = progress.done, progress.total
        if done < total:
            console.report(f"scoring what is annotated: slide {done + 1} of {total}")

    running = scored_annotations(path, model, device, mpps=mpps or DEFAULT_MPPS, mpp=source_mpp)
    tiles = run_task(running, show)
    report_images(tiles.labelled_set, console)
    for warning in tiles.messages:
        console.warn(warning)
    return tiles


def _fine_tune(tuner: FineTuner, console: Console) -> FineTuneResult:
    from napari_smse.finetuning.result import FineTuneProgress

    with TaskProgress(console, "reading") as bar:

        def show(progress: Progress) -> None:
            assert isinstance(progress, FineTuneProgress)
            stage, loss = progress.stage, progress.loss
            facts = "" if loss is None else f"loss {loss:.3f}"
            bar.update(progress.done, progress.total, description=stage, facts=facts)

        return run_task(tuner.run(), show)


def _report(tuner: FineTuner, tuned: FineTuneResult, out: Path, console: Console) -> None:
    from napari_smse.evaluation.report.tables import shown
    from napari_smse.finetuning.comparison import describe_held_out
    from napari_smse.finetuning.saving import save_fine_tuned

    path = save_fine_tuned(tuner, tuned, out)
    if console.as_json:
        console.print_json(_values(tuner, tuned, path))
        return
    console.print_table(_table(tuner, tuned))
    console.report(describe_held_out(tuner, tuned))
    if tuned.exemplar_accuracy is not None:
        before, after = tuned.exemplar_accuracy
        console.report(
            f"what the model knew, of {after.n:,} exemplars right: {shown(before)}, now "
            f"{shown(after)}"
        )
    console.report(f"model: {path}")


def _table(tuner: FineTuner, tuned: FineTuneResult) -> Table:
    from napari_smse.evaluation.report.tables import shown
    from napari_smse.finetuning.saving import differences, estimates

    table = Table(box=None, pad_edge=False)
    for head in ("held out", "before", "after", "difference"):
        table.add_column(head)
    before, after = (estimates(tuner, each.held_out) for each in (tuned.before, tuned.after))
    for name, change in differences(tuner, tuned).items():
        table.add_row(
            name.replace("_", " "),
            shown(before[name]),
            shown(after[name]),
            shown(change, form="+.3f"),
        )
    then, since = tuned.before.recall, tuned.after.recall_since(tuned.before)
    for k, now in tuned.after.recall.items():
        table.add_row(f"recall@{k}", shown(then[k]), shown(now), shown(since[k], form="+.3f"))
    return table


def _values(tuner: FineTuner, tuned: FineTuneResult, path: Path) -> dict[str, Any]:
    from napari_smse.finetuning.saving import differences, estimates

    def figures(assessment: Assessment) -> dict[str, Any]:
        values = {
            name: asdict(figure) for name, figure in estimates(tuner, assessment.held_out).items()
        }
        return values | {f"recall@{k}": one.value for k, one in assessment.recall.items()}

    before, after, right = figures(tuned.before), figures(tuned.after), tuned.exemplar_accuracy
    return {
        "model": str(path),
        "card": str(model_stem(path)) + CARD_SUFFIX,
        "from": tuner.model.card.name,
        "classes": list(tuner.labelled_set.classes),
        "training_images": len(tuner.training),
        "held_out_images": len(tuner.testing),
        "steps": tuned.steps,
        "crops": tuner.crops,
        "links_held": tuned.constraints_satisfied,
        "auc_before": before["auc"]["value"],
        "auc": after["auc"]["value"],
        "before": before,
        "after": after,
        "difference": {k: asdict(v) for k, v in differences(tuner, tuned).items()},
        "exemplars_right": right and [one.value for one in right],
        "warnings": tuner.warnings,
        "skipped": skipped_values(tuner.labelled_set),
        "research_use_only": True,
    }
