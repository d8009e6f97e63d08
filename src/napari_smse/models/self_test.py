"""Generated tiles whose probabilities a card promises."""

from __future__ import annotations

import logging
from itertools import chain
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_smse.errors import SelfTestError
from napari_smse.models.card import ExpectedOutput, ModelCard
from napari_smse.models.generated_tiles import generated_tile

TOLERANCE: Final = 0.02
CANDIDATES: Final = 24
SELF_TEST_TILES: Final = 4
_log = logging.getLogger(__name__)


def tile_size(network: nn.Module, card: ModelCard) -> tuple[int, int]:
    """Return height and width of the tiles the network takes."""
    fixed: tuple[int, int] | None = getattr(network, "input_size", None)
    return fixed or (card.tile_px, card.tile_px)


def expected_outputs(network: nn.Module, card: ModelCard) -> tuple[ExpectedOutput, ...]:
    """Return the generated tiles that separate the classes best, with their probabilities.

    The tiles with the lowest and the highest probability of the first class are kept,
    so that swapped class names cannot pass as long as the network separates tiles.
    """
    numbers = list(range(CANDIDATES))
    probabilities = _probabilities(network, card, numbers)
    order = np.argsort(probabilities[:, 0], kind="stable")
    chosen = [*order[: SELF_TEST_TILES // 2], *order[-SELF_TEST_TILES // 2 :]]
    if np.sum(np.abs(probabilities[chosen, 0] - 0.5) > 2 * TOLERANCE) < 2:
        _log.warning("The self-test of %s could not tell swapped class names.", card.name)
    return tuple(
        ExpectedOutput(
            tile=int(index),
            probabilities={
                name: round(float(value), 5)
                for name, value in zip(card.classes, probabilities[index], strict=True)
            },
        )
        for index in chosen
    )


def run_self_test(network: nn.Module, card: ModelCard) -> None:
    """Compare the network's outputs on generated tiles with the card's.

    Raises
    ------
    SelfTestError
        A probability differs by more than 0.02.
    """
    if not card.expected:
        return
    measured = _probabilities(network, card, [output.tile for output in card.expected])
    for output, row in zip(card.expected, measured, strict=True):
        for name, value in zip(card.classes, row, strict=True):
            promised = output.probabilities[name]
            if not abs(float(value) - promised) <= TOLERANCE:
                raise SelfTestError(
                    f"Model {card.name} {card.version} gives {name} {value:.3f} on self-test tile "
                    f"{output.tile} where its card promises {promised:.3f}: card and weights do "
                    "not belong together, get the model again."
                )


def _probabilities(network: nn.Module, card: ModelCard, numbers: list[int]) -> NDArray[np.float32]:
    height, width = tile_size(network, card)
    tiles = np.stack([generated_tile(number, height, width) for number in numbers])
    device = next(chain(network.parameters(), network.buffers())).device
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            images = torch.from_numpy(tiles).permute(0, 3, 1, 2).to(device)
            logits = network(images).logits
    finally:
        network.train(was_training)
    return np.asarray(torch.softmax(logits, dim=1).cpu().numpy(), dtype=np.float32)
