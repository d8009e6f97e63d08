"""`napari-smse train`: a model from labelled images."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_smse.cli.console import Console
from napari_smse.cli.files import read_images, skipped_values
from napari_smse.cli.options import (
    AsJson,
    Classification,
    Device,
    EncoderName,
    EncoderWeights,
    Images,
    ModelOut,
    OverwriteModel,
    Quiet,
    Seed,
    SourceMpp,
    Steps,
    ValidationFraction,
)
from napari_smse.cli.progress import TaskProgress
from napari_smse.cli.tables import metric_table
from napari_smse.models.card import CARD_SUFFIX
from napari_smse.models.model_files import model_stem, new_model_paths
from napari_smse.scoring import choose_device

if TYPE_CHECKING:
    from napari_smse.datasets.labelled_set import LabelledSet
    from napari_smse.training.train_model import ModelTrainer, TrainedModel


def train(
    data: Images,
    out: ModelOut,
    recipe: Annotated[
        str, typer.Option(help="Recipe to train by: default, paper, or the path of a JSON file.")
    ] = "default",
    source_mpp: SourceMpp = None,
    loss: Annotated[
        str | None, typer.Option(help="Similarity loss: none, pair or triplet.")
    ] = None,
    classification: Classification = None,
    steps: Steps = None,
    encoder: EncoderName = None,
    encoder_weights: EncoderWeights = None,
    seed: Seed = 0,
    device: Device = "auto",
    validation_fraction: ValidationFraction = 0.2,
    overwrite: OverwriteModel = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train a model: weights, a card that describes it, and logs beside it.

    A training that was stopped goes on when the same command is given again.
    """
    console = Console(quiet=quiet, as_json=as_json)
    new_model_paths(out, overwrite=overwrite)
    chosen = choose_device(device)
    images = read_images(data, source_mpp, console)
    trainer = _trainer(
        images,
        recipe,
        {
            "similarity": loss,
            "classification": classification,
            "steps": steps,
        },
        (encoder, encoder_weights),
        {"out": out, "validation_fraction": validation_fraction, "seed": seed},
        chosen.torch_name,
    )
    if overwrite:
        trainer.discard()
    if encoder is not None:
        console.report(f"On the encoder {trainer.parent}.")
    console.report(
        f"Training on {len(trainer.training)} images, {len(trainer.validation)} of other cases "
        f"held out, on {chosen.label}. Research use only."
    )
    try:
        _show_progress(trainer, console)
        trained = trainer.finish()
    except KeyboardInterrupt as stop:
        again = "the same command without --overwrite" if overwrite else "the same command"
        console.message(f"Stopped. What was learnt is kept: {again} goes on from there.")
        raise typer.Exit(130) from stop
    _report(trained, trainer, console)


def _trainer(
    images: LabelledSet,
    recipe_name: str,
    changes: dict[str, Any],
    on: tuple[str | None, Path | None],
    options: dict[str, Any],
    device: str,
) -> ModelTrainer:
    from napari_smse.evaluation.learners import read_recipe
    from napari_smse.training.initialisation import new_network
    from napari_smse.training.recipe import on_encoder
    from napari_smse.training.train_model import ModelTrainer

    images.require_trainable()
    encoder, weights = on
    if encoder is not None:
        changes = changes | on_encoder(encoder)
    recipe = read_recipe(recipe_name, seed=options["seed"], **changes)
    network, parent = new_network(recipe, len(images.classes), weights)
    return ModelTrainer(images, recipe, network, parent=parent, device=device, **options)


def _show_progress(trainer: ModelTrainer, console: Console) -> None:
    # Closed at once when it is stopped, so that what was learnt is on disk.
    with TaskProgress(console, "training") as bar, closing(trainer.run()) as running:
        for progress in running:
            facts = f"loss {progress.loss:.3f}"
            for name, value in (progress.held_out or {}).items():
                facts += f", {name} {value:.3f}"
            if progress.seconds_left is not None:
                facts += f", {progress.seconds_left:.0f} s left"
            bar.update(progress.done, progress.total, facts=facts)


def _report(trained: TrainedModel, trainer: ModelTrainer, console: Console) -> None:
    if console.as_json:
        console.print_json(
            {
                "model": str(trained.path),
                "card": str(model_stem(trained.path)) + CARD_SUFFIX,
                "logs": str(trainer.folder),
                "training_images": len(trainer.training),
                "validation_images": len(trainer.validation),
                "validation": None if trained.summary is None else asdict(trained.summary),
                "skipped": skipped_values(trainer.labelled_set),
            }
        )
        return
    if trained.summary is None:
        console.warn("no case was held out, so the model has no figures and is not calibrated")
    else:
        console.report(
            f"{trained.summary.images} images of {trained.summary.cases} validation cases (they "
            "chose weights and temperature, so unseen cases will do somewhat worse):"
        )
        console.print_table(metric_table(trained.summary))
    console.report(f"model: {trained.path}, logs: {trainer.folder}")
