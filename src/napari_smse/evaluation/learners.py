"""Learners for the protocols, by name: a recipe, the frozen control, the paper's own."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from torch import Tensor

from napari_smse.datasets.labelled_set import LabelledImage, LabelledSet
from napari_smse.errors import TrainingError
from napari_smse.evaluation.cross_validation import Learner
from napari_smse.evaluation.linear_probe import LinearProbe
from napari_smse.models.smse_cnn import SmseCnn
from napari_smse.models.smse_network import SmseNetwork
from napari_smse.training.feature_cache import FeatureCache
from napari_smse.training.head_training import HeadLearner
from napari_smse.training.initialisation import new_network
from napari_smse.training.paper.recipe import PaperRecipe, best_epoch
from napari_smse.training.paper.trainer import train_paper
from napari_smse.training.prediction import Predictor
from napari_smse.training.recipe import Recipe, default_recipe, why_impossible
from napari_smse.training.trainer import predict_images, train

DEFAULT: Final = "default"
PAPER: Final = "paper"
FROZEN: Final = "frozen"
_PAIR_MARGIN: Final = 1.0
OnMessage = Callable[[str], None]
FeatureCaches = dict[str, FeatureCache]
"""Feature caches that learners share, by the settings that the features depend on."""

_FEATURE_FIELDS: Final = frozenset(
    {"network", "tile_px", "mpp_limits", "stain", "colour", "blur", "seed", "precision"}
)


def _silent(_text: str) -> None:
    """Discard a message."""


def read_recipe(config: str, *, steps: int | None = None, **changes: Any) -> Recipe | PaperRecipe:
    """Return the recipe of this name or JSON file, with some of its fields changed.

    Parameters
    ----------
    config
        ``"default"``, ``"paper"``, or the path of a recipe as JSON.
    steps
        Training steps; epochs for the paper's.
    **changes
        Fields of the recipe. None leaves them, and `steps`, as they are.

    Raises
    ------
    TrainingError
        There is no such recipe, or a value is impossible.
    """
    given = {key: value for key, value in changes.items() if value is not None}
    duration = {} if steps is None else {"epochs" if config == PAPER else "steps": steps}
    try:
        if config == PAPER:
            return PaperRecipe.model_validate(given | duration)
        fields = (default_recipe() if config == DEFAULT else _read(Path(config))).model_dump()
        if given.get("similarity") == "pair" and fields["similarity"] != "pair":
            # A margin is in distance for pairs, in squared distance for triplets.
            given.setdefault("margin", _PAIR_MARGIN)
        return Recipe.model_validate(fields | given | duration)
    except ValidationError as error:
        raise TrainingError(
            f"Recipe {config} cannot be used: {why_impossible(error)}; correct it."
        ) from error


def _read(path: Path) -> Recipe:
    try:
        return Recipe.model_validate_json(path.read_bytes())
    except OSError as error:
        raise TrainingError(
            f"There is no recipe {str(path)!r}: give {DEFAULT}, {PAPER} or a JSON file."
        ) from error


def create_learner(
    config: str,
    *,
    device: str = "cpu",
    steps: int | None = None,
    on_message: OnMessage = _silent,
    feature_caches: FeatureCaches | None = None,
    folder: Path | None = None,
    **losses: str,
) -> Learner:
    """Create the learner that a name or a recipe file stands for.

    Parameters
    ----------
    config
        ``"default"``, ``"paper"``, ``"frozen"``, or the path of a recipe as JSON.
    device
        Device to train on, as torch names it.
    steps
        Training steps, epochs for the paper's; None leaves the recipe's.
    on_message
        Called with a line of text for each step of the work.
    feature_caches
        Caches that several learners with a frozen trunk share, so that it computes features once.
    folder
        For the checkpoints of trainings, one below it for each recipe and seed: what is trained
        again there goes on where it was. None for nowhere. Frozen trunks leave nothing.
    **losses
        `similarity` and `classification`, instead of the recipe's.

    Raises
    ------
    TrainingError
        There is no such recipe, or the frozen control is asked to use a loss.
    """
    if config == FROZEN:
        if losses:
            raise TrainingError("The frozen control has no losses to compare: give a recipe.")
        return linear_probe_learner(device=device, on_message=on_message)
    recipe = read_recipe(config, steps=steps, **losses)
    if isinstance(recipe, PaperRecipe):
        return paper_learner(recipe, device=device, on_message=on_message, folder=folder)
    return network_learner(
        recipe,
        device=device,
        on_message=on_message,
        feature_caches=feature_caches,
        folder=folder,
    )


def takes_tiles(config: str) -> bool:
    """Tell whether this recipe's networks take tiles at a scale, rather than whole images.

    Raises
    ------
    TrainingError
        There is no such recipe.
    """
    if config == FROZEN:
        return True
    recipe = read_recipe(config)
    return isinstance(recipe, Recipe) and recipe.network != SmseCnn.trunk_name


def network_learner(
    recipe: Recipe,
    *,
    device: str = "cpu",
    on_message: OnMessage = _silent,
    feature_caches: FeatureCaches | None = None,
    folder: Path | None = None,
) -> Learner:
    """Return a learner that trains a new network by a recipe, each time with another seed.

    Where only the heads learn, all of its networks share the features of one frozen trunk. Else a
    training that was stopped goes on from its checkpoint in the folder, if there is one.
    """
    if recipe.trainable == "head" and recipe.network != SmseCnn.trunk_name:
        return _head_learner(
            recipe, {} if feature_caches is None else feature_caches, device, on_message
        )

    def learn(
        labelled_set: LabelledSet, training: Sequence[int], validation: Sequence[int], seed: int
    ) -> Predictor:
        seeded = recipe.model_copy(update={"seed": seed})
        network, _ = new_network(seeded, len(labelled_set.classes))
        running = train(
            network,
            labelled_set,
            seeded,
            training=training,
            validation=validation,
            folder=_training_folder(folder, seeded),
            device=device,
        )
        for progress in running:
            on_message(f"step {progress.done} of {progress.total}, loss {progress.loss:.3f}")

        return lambda images: predict_images(network, images, tile_px=seeded.tile_px, device=device)

    return learn


def _head_learner(
    recipe: Recipe, feature_caches: FeatureCaches, device: str, on_message: OnMessage
) -> Learner:
    key = recipe.model_dump_json(include=set(_FEATURE_FIELDS))
    if key not in feature_caches:
        network, _ = new_network(recipe, 2)
        assert isinstance(network, SmseNetwork)
        feature_caches[key] = FeatureCache(network, recipe, device=device)
    table = feature_caches[key]
    heads = HeadLearner(table, recipe)

    def learn(
        labelled_set: LabelledSet, training: Sequence[int], validation: Sequence[int], seed: int
    ) -> Predictor:
        for progress in table.fill(labelled_set.images):
            on_message(f"features of {progress.done} of {progress.total} images")
        return heads(labelled_set, training, validation, seed)

    return learn


def _training_folder(folder: Path | None, recipe: Recipe | PaperRecipe) -> Path | None:
    if folder is None:
        return None
    losses = f"{recipe.similarity} {recipe.classification}".replace(" ", "-")
    return folder / f"{losses}-{recipe.seed}"


def paper_learner(
    recipe: PaperRecipe,
    *,
    device: str = "cpu",
    on_message: OnMessage = _silent,
    folder: Path | None = None,
) -> Learner:
    """Return a learner that trains the paper's network, each time with another seed.

    Its predictors can `select_on_test`: choose the epoch by the test images, as the authors did.
    A training that was stopped goes on after its last epoch in the folder, if there is one.
    """

    def learn(
        labelled_set: LabelledSet, training: Sequence[int], validation: Sequence[int], seed: int
    ) -> PaperPredictor:
        seeded = recipe.model_copy(update={"seed": seed})
        network, _ = new_network(seeded, len(labelled_set.classes))
        assert isinstance(network, SmseCnn)
        epochs = []
        running = train_paper(
            network,
            labelled_set,
            seeded,
            training=training,
            validation=validation,
            folder=_training_folder(folder, seeded),
            device=device,
        )
        for progress in running:
            on_message(f"step {progress.done} of {progress.total}, loss {progress.loss:.3f}")
            if progress.epoch is not None:
                epochs.append(progress.epoch.weights)
        return PaperPredictor(network, epochs, device)

    return learn


class PaperPredictor:
    """Predicts with the epoch best on the validation cases, or with that best on the test images.

    Parameters
    ----------
    network
        Network with the weights of that epoch.
    epochs
        Weights after every epoch.
    device
        Device to run on, as torch names it.
    """

    def __init__(
        self,
        network: SmseCnn,
        epochs: Sequence[dict[str, Tensor]],
        device: str = "cpu",
    ) -> None:
        self._network, self._epochs, self._device = network, epochs, device

    def __call__(self, images: Sequence[LabelledImage], /) -> Tensor:
        """Return the logits of the epoch chosen without these images."""
        return predict_images(self._network, images, device=self._device)

    def select_on_test(self, images: Sequence[LabelledImage], /) -> Tensor:
        """Return the logits of the epoch that is right most often on these very images."""
        network, logits = copy.deepcopy(self._network), []
        for weights in self._epochs:
            network.load_state_dict(weights)
            logits.append(predict_images(network, images, device=self._device))
        return logits[best_epoch(logits, [image.label for image in images])]


def linear_probe_learner(*, device: str = "cpu", on_message: OnMessage = _silent) -> LinearProbe:
    """Return the linear probe of the default trunk as every training begins with it."""
    network, _ = new_network(Recipe(), 2)
    assert isinstance(network, SmseNetwork)
    return LinearProbe(network, device=device, on_message=on_message)
