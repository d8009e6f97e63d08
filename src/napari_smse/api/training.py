"""Train, measure and cross-validate on labelled images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_smse.api.model import Model, load_model
from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.datasets.loading import read_training_set
from napari_smse.evaluation import evaluate as evaluation
from napari_smse.evaluation import few_shot
from napari_smse.evaluation.cross_validation import cross_validation
from napari_smse.evaluation.evaluate import Evaluation
from napari_smse.evaluation.few_shot import LABELS, EncoderComparison
from napari_smse.evaluation.learners import create_learner, read_recipe
from napari_smse.metrics.predictions import HeldOutPredictions
from napari_smse.metrics.summary import Summary, summarise
from napari_smse.models.model_files import new_model_paths
from napari_smse.progress import OnProgress, Progress, run_task
from napari_smse.scoring import choose_device
from napari_smse.training.initialisation import new_network
from napari_smse.training.recipe import on_encoder
from napari_smse.training.train_model import ModelTrainer


@dataclass(frozen=True)
class Trained:
    """A model that was trained.

    Attributes
    ----------
    model
        The model, with its card.
    summary
        Figures on the validation cases, which chose weights and temperature; None if no case was
        held out.
    folder
        Where checkpoint and logs lie.
    """

    model: Model
    summary: Summary | None
    folder: Path


@dataclass(frozen=True)
class CrossValidation:
    """What a recipe is worth on cases that it did not see.

    Attributes
    ----------
    summary
        Figures over all folds: ``estimates`` by name, each with a 95 % interval by cases, and
        ``magnifications``.
    held_out
        The logits of each image by the network that did not see its case.
    """

    summary: Summary
    held_out: HeldOutPredictions


def read_dataset(
    path: str | Path, *, mpp: float | None = None, progress: OnProgress | None = None
) -> LabelledSet:
    """Read labelled images; of pictures, only the headers.

    Parameters
    ----------
    path
        A folder with one sub-folder of images a class, an ``images.csv``, BreakHis or annotated
        slides; or a ``.toml`` list of such folders.
    mpp
        um/px of images that do not state it.
    progress
        Called with a `Progress`.

    Returns
    -------
    LabelledSet
        ``classes``, ``images``, ``count()`` of images and cases a class, and what was ``skipped``
        with the reason.

    Raises
    ------
    DataError
        There is nothing at the path, or nothing that can be used.
    """
    if progress is not None:
        progress(Progress(0, 1, f"Reading {Path(path).name}"))
    found = read_training_set(path, mpp=mpp)
    if progress is not None:
        progress(Progress(1, 1, f"Reading {Path(path).name}"))
    return found


def train(
    data: LabelledSet,
    recipe: str = "default",
    *,
    out: str | Path,
    loss: Literal["triplet", "pair", "none"] | None = None,
    classification: Literal["cross-entropy", "focal", "reinforced focal"] | None = None,
    steps: int | None = None,
    encoder: str | None = None,
    encoder_weights: str | Path | None = None,
    validation_fraction: float = 0.2,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    progress: OnProgress | None = None,
) -> Trained:
    """Train a model: weights, and a card that says what it knows.

    A training that was stopped goes on when the same is called again.

    Parameters
    ----------
    data
        As `read_dataset` gives it.
    recipe
        ``"default"``, ``"paper"``, or the path of a recipe as JSON.
    out
        Path of the model; checkpoint and logs go to ``OUT.training``.
    loss, classification
        Instead of the recipe's similarity and classification loss.
    steps
        Instead of the recipe's (epochs for the paper's).
    encoder
        Learn heads on this encoder (``napari-smse models list``); its licence goes into the card.
    encoder_weights
        File or folder of its weights, if it is not where they were before or the hub's cache.
    validation_fraction
        Share of the cases that choose weights and temperature.
    seed
        Of validation cases and training.
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
    overwrite
        Replace another model, and its training.
    progress
        Called with a `Progress` in steps.

    Raises
    ------
    DataError
        A class is empty, or there is only one case.
    TrainingError
        There is no such recipe, or a value is impossible.
    UnknownEncoderError, EncoderWeightsError
        There is no such encoder, or its weights are not here.
    OutputError
        There is a model already, or the folder does not exist.
    DeviceError
        There is no such device.
    """
    out = Path(out)
    new_model_paths(out, overwrite=overwrite)
    data.require_trainable()
    chosen = read_recipe(
        recipe,
        steps=steps,
        seed=seed,
        similarity=loss,
        classification=classification,
        **({} if encoder is None else on_encoder(encoder)),
    )
    network, parent = new_network(chosen, len(data.classes), encoder_weights)
    trainer = ModelTrainer(
        data,
        chosen,
        network,
        out,
        parent=parent,
        validation_fraction=validation_fraction,
        seed=seed,
        device=choose_device(device).torch_name,
    )
    if overwrite:
        trainer.discard()
    run_task(trainer.run(), progress)
    made = trainer.finish()
    return Trained(load_model(made.path), made.summary, trainer.folder)


def evaluate(
    model: Model,
    data: LabelledSet,
    *,
    device: str = "auto",
    progress: OnProgress | None = None,
) -> Evaluation:
    """Measure a model on labelled images of cases that it was not trained on.

    Parameters
    ----------
    model
        As `load_model` gives it.
    data
        As `read_dataset` gives it; classes are the model's.
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
    progress
        Called with a `Progress` in images.

    Returns
    -------
    Evaluation
        ``summary.estimates`` by name (``auc``, ``accuracy`` ...), each with a 95 % interval from
        drawing whole cases; ``warnings``; and the predictions, ``held_out``.

    Raises
    ------
    DataError
        The classes are not the model's, it was trained on all cases, or an image cannot be read.
    DeviceError
        There is no such device.
    """
    task = evaluation.evaluate(model.loaded, data, device=choose_device(device).torch_name)
    return run_task(task, progress)


def cross_validate(
    data: LabelledSet,
    recipe: str = "default",
    *,
    folds: int = 5,
    repeats: int = 1,
    steps: int | None = None,
    validation_fraction: float = 0.2,
    seed: int = 0,
    device: str = "auto",
    progress: OnProgress | None = None,
) -> CrossValidation:
    """Measure a recipe on cases that it did not see: no case is ever on both sides of a fold.

    Parameters
    ----------
    data
        As `read_dataset` gives it.
    recipe
        ``"default"``, ``"paper"``, ``"frozen"`` (control), or the path of a recipe as JSON.
    folds
        How many, dealt by case.
    repeats
        Deal them anew so many times.
    steps
        Instead of the recipe's (epochs for the paper's).
    validation_fraction
        Share of the training cases that weights are chosen by.
    seed
        Of folds, validation cases and training.
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
    progress
        Called with a `Progress` in folds.

    Raises
    ------
    DataError
        The cases are too few for so many folds.
    TrainingError
        There is no such recipe, or a value is impossible.
    DeviceError
        There is no such device.
    """
    learner = create_learner(recipe, device=choose_device(device).torch_name, steps=steps)
    task = cross_validation(
        learner, data, folds, repeats=repeats, validation_fraction=validation_fraction, seed=seed
    )
    held_out = run_task(task, progress)
    return CrossValidation(summarise(held_out, data), held_out)


def compare_encoders(
    data: LabelledSet,
    models: Sequence[str],
    *,
    labels: Sequence[int] = LABELS,
    encoder_weights: Mapping[str, str | Path] | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: OnProgress | None = None,
) -> EncoderComparison:
    """Compare what the features of models and encoders are worth with few labels.

    Logistic regression learns from so many images of half of the cases and is judged on the others,
    by the same divisions for all.

    Parameters
    ----------
    data
        As `read_dataset` gives it; cases that one of the models learnt from are left out.
    models
        ``"bundled"``, paths, and names of encoders; the first is what others are compared with.
    labels
        Numbers of images to learn from.
    encoder_weights
        Where the weights of encoders lie, by name.
    seed
        Of the divisions.
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
    progress
        Called with a `Progress` in images.

    Returns
    -------
    EncoderComparison
        Its ``rows`` have ``model``, ``labels``, ``auc`` and ``difference`` from the first.

    Raises
    ------
    ModelNotFoundError, UnknownEncoderError, EncoderWeightsError
        There is no such model or encoder, or its weights are not here.
    DataError
        There is one case only, or a class is empty.
    TrainingError
        scikit-learn is not installed.
    DeviceError
        There is no such device.
    """
    chosen = choose_device(device).torch_name
    task = few_shot.compare_encoders(
        models, data, labels, weights=encoder_weights, seed=seed, device=chosen
    )
    return run_task(task, progress)
