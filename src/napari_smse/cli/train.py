"""`napari-smse train`: a model from labelled images."""

from __future__ import annotations

import shutil
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as ProgressBar

from napari_smse.cli.console import Speaker, check_folder, metric_table, read_data
from napari_smse.cli.output_files import model_files, refuse_existing
from napari_smse.models.card import CARD_SUFFIX, model_stem
from napari_smse.scoring import choose_device

if TYPE_CHECKING:
    from napari_smse.datasets.labelled_set import LabelledSet
    from napari_smse.training.train_model import Made, ModelTrainer


def train(
    data: Annotated[
        Path,
        typer.Argument(help="Labelled images: a folder or a list of sources.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="Path of the model to write.", show_default=False)],
    config: Annotated[str, typer.Option(help="default, paper, or a recipe as JSON.")] = "default",
    mpp: Annotated[float | None, typer.Option(help="um/px of images that state none.")] = None,
    loss: Annotated[
        str | None, typer.Option(help="Similarity loss: none, pair or triplet.")
    ] = None,
    classification: Annotated[
        str | None,
        typer.Option(help="Classification loss: cross-entropy, focal or 'reinforced focal'."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps (paper: epochs).")] = None,
    seed: Annotated[int, typer.Option(help="Of validation cases and training.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    validation_share: Annotated[
        float, typer.Option(help="Share of cases that weights and temperature are chosen by.")
    ] = 0.2,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another model or training.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Train a model: weights, a card that says what it knows, and logs beside it.

    A training that was stopped goes on when the same command is given again.
    """
    speaker = Speaker(quiet=quiet, as_json=as_json)
    check_folder(out, "the model")
    refuse_existing(out, overwrite)
    chosen = choose_device(device)
    images = read_data(data, mpp, speaker)
    making = _making(
        images,
        config,
        {"similarity": loss, "classification": classification, "steps": steps},
        {"out": out, "validation_share": validation_share, "seed": seed},
        chosen.torch_name,
    )
    if overwrite:
        _remove(making)
    speaker.say(
        f"Training on {len(making.training)} images, {len(making.validation)} of other cases held "
        f"out, on {chosen.label}. Research use only."
    )
    try:
        _show_progress(making, speaker)
        made = making.finish()
    except KeyboardInterrupt as stop:
        again = "the same command without --overwrite" if overwrite else "the same command"
        speaker.errors.print(f"Stopped. What was learnt is kept: {again} goes on from there.")
        raise typer.Exit(130) from stop
    _tell(made, making, speaker)


def _remove(making: ModelTrainer) -> None:
    """Remove an older model and its training, so that a stop leaves no doubt what is whose."""
    for path in model_files(making.stem):
        path.unlink(missing_ok=True)
    if making.folder.is_dir():
        shutil.rmtree(making.folder)


def _making(
    images: LabelledSet,
    config: str,
    changes: dict[str, Any],
    options: dict[str, Any],
    device: str,
) -> ModelTrainer:
    from napari_smse.evaluation.learners import read_recipe
    from napari_smse.training.initialisation import new_network
    from napari_smse.training.train_model import ModelTrainer

    images.require_trainable()
    recipe = read_recipe(config, seed=options["seed"], **changes)
    network, parent = new_network(recipe, len(images.classes))
    return ModelTrainer(images, recipe, network, parent=parent, device=device, **options)


def _show_progress(making: ModelTrainer, speaker: Speaker) -> None:
    columns = (
        SpinnerColumn(),
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[facts]}"),
    )
    with ExitStack() as stack:
        bar = stack.enter_context(
            ProgressBar(*columns, console=speaker.console, disable=speaker.quiet, transient=True)
        )
        task = bar.add_task("training", total=None, facts="")
        # Closed at once when it is stopped, so that what was learnt is on disk.
        for progress in stack.enter_context(closing(making.run())):
            facts = f"loss {progress.loss:.3f}"
            for name, value in (progress.held_out or {}).items():
                facts += f", {name} {value:.3f}"
            if progress.seconds_left is not None:
                facts += f", {progress.seconds_left:.0f} s left"
            bar.update(task, completed=progress.step, total=progress.steps, facts=facts)


def _tell(made: Made, making: ModelTrainer, speaker: Speaker) -> None:
    if speaker.as_json:
        speaker.print_json(
            {
                "model": str(made.path),
                "card": str(model_stem(made.path)) + CARD_SUFFIX,
                "logs": str(making.folder),
                "training_images": len(making.training),
                "validation_images": len(making.validation),
                "validation": None if made.summary is None else asdict(made.summary),
                "skipped": [
                    {"path": str(s.path), "reason": s.reason} for s in making.labelled_set.skipped
                ],
            }
        )
        return
    if made.summary is None:
        speaker.warn("no case was held out, so the model has no figures and is not calibrated")
    else:
        speaker.say(
            f"{made.summary.images} images of {made.summary.cases} validation cases (they chose "
            "weights and temperature, so unseen cases will do somewhat worse):"
        )
        speaker.show(metric_table(made.summary))
    speaker.say(f"model: {made.path}, logs: {making.folder}")
