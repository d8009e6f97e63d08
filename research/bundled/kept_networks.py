"""Networks whose trunk learns: trained once, kept, and gone on with where one was interrupted."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from safetensors import safe_open
from safetensors.torch import load_file, save_file

from napari_smse.datasets.labelled_set import LabelledSet
from napari_smse.evaluation.cross_validation import Learner
from napari_smse.models import SmseNetwork
from napari_smse.training.checkpoint import training_signature
from napari_smse.training.initialisation import new_network
from napari_smse.training.prediction import Predictor
from napari_smse.training.recipe import Recipe
from napari_smse.training.trainer import predict_images, train
from research.bundled.kept_predictions import training_name

RECIPE_NAME: Final = "recipe.json"
_SIGNATURE: Final = "training"
_LOGGED_EVERY: Final = 20
_log = logging.getLogger(__name__)


TILE_PX: Final = 224
"""Of what networks judge, whatever the crops they learn from; that of the bundled model."""


def keeping_learner(recipe: Recipe, device: str, folder: Path) -> Learner:
    """Return a learner that leaves each network's weights in a folder, and takes those there.

    They are called after the source that was not learnt from, or *fold*, and the seed. Images are
    judged by tiles of `TILE_PX`.
    """

    def learn(
        data: LabelledSet, training: Sequence[int], validation: Sequence[int], seed: int
    ) -> Predictor:
        seeded = recipe.model_copy(update={"seed": seed})
        name = f"{training_name(data, training)}_{seed}"
        network = kept_network(folder / name, seeded, data, training, device=device)
        return lambda images: predict_images(network, images, tile_px=TILE_PX, device=device)

    return learn


def kept_network(
    stem: Path, recipe: Recipe, data: LabelledSet, training: Sequence[int], *, device: str = "cpu"
) -> SmseNetwork:
    """Return a network as a recipe trains it, from its file if it was trained before.

    Parameters
    ----------
    stem
        Its file without ``.safetensors``; beside it lies the recipe, and, while it is being
        trained, the folder that an interrupted training goes on from.
    recipe, data, training
        How to train it, and the images to learn from.
    device
        For torch.

    Raises
    ------
    RuntimeError
        The file is of another training.
    """
    network, _ = new_network(recipe, len(data.classes))
    assert isinstance(network, SmseNetwork)
    signature = training_signature(recipe, data.images, training, (), network)
    path = stem.with_name(f"{stem.name}.safetensors")
    if path.exists():
        _require_same(path, signature)
        network.load_state_dict(load_file(path))
        return network.eval()
    stem.parent.mkdir(parents=True, exist_ok=True)
    (stem.parent / RECIPE_NAME).write_text(recipe.model_dump_json(by_alias=True, indent=2))
    folder = stem.with_name(f"{stem.name}.training")
    for progress in train(network, data, recipe, training=training, folder=folder, device=device):
        if progress.done and progress.done % _LOGGED_EVERY == 0:
            _log.info("%s: step %d, loss %.3f", stem.name, progress.done, progress.loss)
    weights = {name: value.contiguous() for name, value in network.state_dict().items()}
    save_file(weights, path, {_SIGNATURE: signature})
    shutil.rmtree(folder)
    return network.eval()


def kept_networks(folder: Path, classes: int = 2) -> Iterator[tuple[str, SmseNetwork]]:
    """Yield each network of a folder, and the source that it did not learn from.

    Parameters
    ----------
    folder
        As `keeping_learner` wrote it.
    classes
        How many there are.
    """
    recipe = recipe_of(folder)
    for path in sorted(folder.glob("*.safetensors")):
        network, _ = new_network(recipe, classes)
        assert isinstance(network, SmseNetwork)
        network.load_state_dict(load_file(path))
        yield path.stem.rpartition("_")[0] or path.stem, network.eval()


def recipe_of(folder: Path) -> Recipe:
    """Return the recipe of the networks of a folder."""
    return Recipe.model_validate_json((folder / RECIPE_NAME).read_bytes())


def _require_same(path: Path, signature: str) -> None:
    with safe_open(path, "pt") as file:
        facts = file.metadata() or {}
    if facts.get(_SIGNATURE, signature) != signature:
        raise RuntimeError(f"{path} is of another training: name another folder, or delete it.")
