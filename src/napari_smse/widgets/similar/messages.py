"""What the search of a slide says: what to do first, what was searched and found, what was kept."""

from __future__ import annotations

from html import escape
from typing import Final

from napari_smse.metrics.estimate import counted
from napari_smse.workflows.find_similar import RunSearchResult
from napari_smse.workflows.scored_slide import Run

NO_SLIDE: Final = "Open a slide first: File > Open."
NOT_SCORED: Final = (
    "Score this slide first (SMSE: Score slide): what is searched are its scored tiles."
)
NO_QUERY: Final = (
    "Draw around what you are looking for, or click a tile, under “Positive examples”."
)


def describe_search(searched: RunSearchResult) -> str:
    """Say how many tiles are the examples, and what of the slide could not be searched."""
    like, unlike = searched.found.like, searched.found.unlike
    others = f", {len(unlike):,} not like this" if len(unlike) else ""
    sentences = [f"{_tiles(len(like))} like this{others}."]
    beside = like.beside + unlike.beside
    if beside:
        areas = "1 area holds" if beside == 1 else f"{beside} areas hold"
        sentences.append(f"{areas} no scored tissue and counts for nothing.")
    planned = searched.run.plan.tile_count
    if len(searched.tiles) < planned:
        sentences.append(
            f"Only {len(searched.tiles) / planned:.0%} of the slide's tiles are scored."
        )
    return " ".join(sentences)


def describe_new_run(before: Run, now: Run) -> str:
    """Say that a slide was scored again, and by which model if that is another one."""
    by = f" by another model, {now.card.name}" if is_of_other_model(before, now) else ""
    return f"The slide was scored again{by}; this is searched now."


def is_of_other_model(before: Run, now: Run) -> bool:
    """Whether two runs were made by models of other weights, whose distances differ."""
    return before.card.weights_sha256 != now.card.weights_sha256


def describe_hits(number: int, mm2: float, model_name: str) -> str:
    """Say how many tiles are hits, how much of the slide, mm², and by which model; rich text."""
    hits = f"<b>{_tiles(number)} found, {mm2:.3g} mm²</b>"
    return f"{hits}, compared by {escape(model_name)} (your examples among them)"


def describe_regions(number: int, class_name: str, layer_name: str) -> str:
    """Say how many regions of a class the hits became, and in which layer they are."""
    regions = counted(number, "regions")
    return (
        f"{regions} of class {class_name} added to the layer {layer_name!r}. Change or save them "
        "in SMSE: Annotate."
    )


def describe_points(number: int, layer_name: str) -> str:
    """Say how many points the hits became, and in which layer they are."""
    return f"{_tiles(number)} are points in the layer {layer_name!r}."


def _tiles(number: int) -> str:
    return counted(number, "tiles")
