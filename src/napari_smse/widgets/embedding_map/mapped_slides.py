"""Which scored slides a map of the embedding space is made of, and whether it is out of date."""

from __future__ import annotations

from collections.abc import Sequence

from napari_smse.widgets.session import ScoredLayer
from napari_smse.workflows.embedding_map import MappedSlide


def of_one_model(runs: Sequence[ScoredLayer]) -> tuple[list[ScoredLayer], list[ScoredLayer]]:
    """Divide runs into those that the first one's model made, and the others."""
    first = runs[0].run.card.weights_sha256
    same = [scored for scored in runs if scored.run.card.weights_sha256 == first]
    return same, [scored for scored in runs if scored.run.card.weights_sha256 != first]


def describe_left_out(runs: Sequence[ScoredLayer]) -> str:
    """Say which slides are not in a map because of their models; nothing if there are none."""
    if not runs:
        return ""
    names = ", ".join(f"{scored.slide.name} ({scored.run.card.name})" for scored in runs)
    return f"Left out, as scored by another model: {names}. Choose the slide to see it alone."


def describe_changes(mapped: Sequence[MappedSlide], wanted: Sequence[ScoredLayer]) -> str:
    """Say why a map is out of date; nothing if it is not."""
    known = {one.slide.quick_hash: one for one in mapped}
    for scored in wanted:
        old = known.get(scored.slide.quick_hash)
        if old is None:
            return f"{scored.slide.name} is not in the map yet: press Refresh."
        if old.run is not scored.run:
            return f"{scored.slide.name} was scored again: press Refresh to see the new results."
        if not old.finished and scored.run.store.finished:
            return f"{scored.slide.name} is scored to the end now: press Refresh."
        if not old.finished:
            return (
                f"{scored.slide.name} is not scored to the end: the map shows {len(old.tiles):,} "
                "tiles, and Refresh those that were added since."
            )
    gone = set(known) - {scored.slide.quick_hash for scored in wanted}
    return "A slide of the map was closed: press Refresh." if gone else ""
