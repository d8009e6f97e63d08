"""What stands in the README of a model that is passed on, as the Hugging Face hub reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from napari_smse.models.card import Metric, ModelCard

README_NAME: Final = "README.md"


def model_readme(card: ModelCard, scale: str, tags: Sequence[str] = ()) -> str:
    """Return a model's README: what the hub sorts it by, and what its card says.

    Parameters
    ----------
    card
        Of the model.
    scale
        um/px that it is for, as words.
    tags
        What else it is to be found by on the hub.
    """
    lines = [
        *_front_matter(card, tags),
        f"# {card.label}",
        "",
        card.intended_use,
        "",
        f"Tiles of {card.tile_px} px at {scale}; classes: {', '.join(card.classes)}.",
        "",
        *_encoder(card),
        *(f"- {limit}" for limit in card.limits),
        "",
        "## Trained on",
        "",
        *([_source(card, number) for number in range(len(card.training))] or ["Not recorded."]),
        "",
        "## Measured on images it did not learn from",
        "",
        *(map(_figure, card.figures) if card.figures else ["Nothing."]),
        "",
    ]
    return "\n".join(lines)


def _front_matter(card: ModelCard, tags: Sequence[str]) -> list[str]:
    base = [] if card.encoder is None else [f"base_model: {card.encoder.repository}"]
    return [
        "---",
        # What the weights may be used for depends on what they were learnt from: see the text.
        "license: other",
        "pipeline_tag: image-classification",
        *base,
        "tags:",
        *(f"- {tag}" for tag in ("histopathology", *tags)),
        "---",
    ]


def _encoder(card: ModelCard) -> list[str]:
    if card.encoder is None:
        return []
    return [f"It stands on the encoder {card.encoder.name}: {card.encoder.licence}."]


def _source(card: ModelCard, number: int) -> str:
    one = card.training[number]
    return f"- {one.name} ({one.organ}): {one.licence}. {one.citation}"


def _figure(one: Metric) -> str:
    between = f" ({one.low} to {one.high})" if one.low is not None else ""
    return f"- {one.data}: {one.metric} {one.value}{between}"
