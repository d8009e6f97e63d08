"""Which parts of a network a training changes, and at which learning rate."""

from __future__ import annotations

from typing import Any, Final

from torch import nn

from napari_smse.errors import TrainingError
from napari_smse.models.smse_cnn import SmseCnn
from napari_smse.models.smse_network import SmseNetwork
from napari_smse.training.recipe import Recipe

# What trunks call the sequence of their stages.
_STAGE_NAMES: Final = ("blocks", "stages", "layers", "features")


def set_trainable(network: SmseNetwork | SmseCnn, recipe: Recipe) -> list[dict[str, Any]]:
    """Freeze all but what the recipe lets learn, and return the optimiser's groups.

    Parameters
    ----------
    network
        Its parameters' ``requires_grad`` are set.
    recipe
        What is trainable, and the learning rates.

    Returns
    -------
    list of dict
        Heads first; each with its highest learning rate as ``"base"``.
    """
    network.requires_grad_(False)
    groups = [_group([network.embedding_head, network.class_head], recipe.learning_rate)]
    body = network.blocks if isinstance(network, SmseCnn) else network.trunk.body
    if recipe.trainable == "all":
        groups.append(_group(later_stages(body, recipe.frozen_stages), recipe.trunk_learning_rate))
    elif recipe.trainable == "stage":
        groups.append(_group(last_stage(body), recipe.trunk_learning_rate))
    return [group for group in groups if group["params"]]


def last_stage(body: nn.Module) -> list[nn.Module]:
    """Return the last stage of a trunk's body and whatever follows it.

    The stages are the elements of ``blocks``, ``stages``, ``layers`` or ``features``; else, as in
    a ResNet, the last child that is a sequence of blocks is a stage.
    """
    if isinstance(body, nn.Sequential):
        return [body[-1]]
    children = list(body.named_children())
    sequences = [
        place
        for place, (_, child) in enumerate(children)
        if isinstance(child, nn.Sequential | nn.ModuleList)
        and any(True for _ in child.parameters())
    ]
    if not sequences:
        return [body]
    name, last = children[sequences[-1]]
    following = [child for _, child in children[sequences[-1] + 1 :]]
    inside = list(last.children())
    return [inside[-1] if name in _STAGE_NAMES else last, *following]


def later_stages(body: nn.Module, frozen: int) -> list[nn.Module]:
    """Return the stages of a trunk's body after the first `frozen`, and whatever follows them.

    Raises
    ------
    TrainingError
        The body has no more stages than that, or none that can be told apart.
    """
    if not frozen:
        return [body]
    children = list(body.named_children())
    for place, (name, child) in enumerate(children):
        stages = list(child.children()) if name in _STAGE_NAMES else []
        if len(stages) > frozen:
            return [*stages[frozen:], *(module for _, module in children[place + 1 :])]
    if isinstance(body, nn.Sequential) and len(body) > frozen:
        return list(body[frozen:])
    raise TrainingError(
        f"The first {frozen} stages of this trunk cannot be frozen: set frozen_stages to less."
    )


def _group(modules: list[nn.Module], learning_rate: float) -> dict[str, Any]:
    parameters = [parameter for module in modules for parameter in module.parameters()]
    for parameter in parameters:
        parameter.requires_grad_(True)
    return {"params": parameters, "base": learning_rate, "lr": learning_rate}
