"""The recipe of a fine-tuning: few steps, what is learnt, and what is kept."""

from __future__ import annotations

from typing import Final

from pydantic import ValidationError

from napari_smse.errors import TrainingError
from napari_smse.training.recipe import Learns, Recipe, Similarity, why_impossible

PAIR_MARGIN: Final = 1.0
"""Distance that unlike tiles are to have at least; embeddings have length 1."""


def tuning_recipe(
    similarity: Similarity = "triplet", learns: Learns = "head", **changes: object
) -> Recipe:
    """Return the recipe of a fine-tuning.

    Parameters
    ----------
    similarity
        Similarity loss; the cross-entropy is added to it.
    learns
        The heads (seconds, from embeddings), also the trunk's last stage, or all.
    **changes
        Fields of `Recipe`; None leaves them as they are.

    Raises
    ------
    TrainingError
        A value is impossible.
    """
    head = learns == "head"
    usual: dict[str, object] = {
        "similarity": similarity,
        "learns": learns,
        "classification": "cross-entropy",
        "pca_start": False,
        "steps": 200 if head else 60,
        "warm_up": 0 if head else 5,
        "cases_per_class": 8 if head else 4,
        "stain": 0.3,
        "colour": 0.0,
        "blur": 0.0,
        "ema_decay": 0.0 if head else 0.9,
        "distillation": 0.0 if head else 1.0,
    }
    if similarity == "pair":
        usual["margin"] = PAIR_MARGIN
    given = {name: value for name, value in changes.items() if value is not None}
    try:
        return Recipe.model_validate(usual | given)
    except ValidationError as error:
        raise TrainingError(
            f"Such a fine-tuning is impossible: {why_impossible(error)}; correct it."
        ) from error
