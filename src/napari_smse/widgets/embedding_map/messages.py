"""What an embedding map says of its tiles, exemplars and of those that are chosen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_smse.metrics.estimate import counted
from napari_smse.scoring import describe_scale, shown_class
from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.similarity.tile_outlines import covered_px
from napari_smse.widgets.session import ScoredLayer
from napari_smse.workflows.embedding_map import EmbeddingMap, MappedSlide


def describe_tile(space: EmbeddingMap, row: int, unlikeness: NDArray[np.float32] | None) -> str:
    """Say what the model made of a tile, what is called of it, and where it lies."""
    one, number = space.place_of(row)
    name = shown_class(one.tiles.classes)
    probability = one.tiles.probability[number, one.tiles.classes.index(name)]
    region = one.tiles.region(number)
    (call,) = space.rule.named(_calls(space, unlikeness)[row : row + 1])
    # A single class is that of all tiles, by a model that knows none.
    named = f"{call} · P({name}) {probability:.2f} · " if len(one.tiles.classes) > 1 else ""
    text = (
        f"{named}{one.slide.name} · "
        f"{describe_scale(float(one.tiles.mpps[number]))} · at ({region.x}, {region.y}) px"
    )
    if unlikeness is None or np.isnan(unlikeness[row]):
        return text
    if unlikeness[row] > 1:
        return f"{text} · unlike anything trained on ({unlikeness[row]:.1f} x the limit)"
    return f"{text} · like the training"


def describe_exemplar(bank: ExemplarBank, row: int) -> str:
    """Say what an exemplar is."""
    case = f", case {bank.cases[row]}" if bank.cases[row] else ""
    scale = describe_scale(float(bank.mpps[row]))
    return f"Exemplar: {bank.class_name(row)} · {bank.sources[row]}{case} · {scale}"


def describe_selection(
    space: EmbeddingMap,
    selection: NDArray[np.bool_],
    unlikeness: NDArray[np.float32] | None = None,
) -> str:
    """Say how many tiles are chosen, what they cover, and what is called of them."""
    if not selection.any():
        return "No tile is chosen."
    mm2, slides = 0.0, 0
    for number, one in enumerate(space.slides):
        chosen = selection[space.rows_of(number)]
        slides += bool(chosen.any())
        mm2 += covered_px(one.tiles, chosen) * (one.slide.mpp / 1000) ** 2
    called = np.bincount(_calls(space, unlikeness)[selection])
    names = space.rule.names
    of_class = ", ".join(f"{number:,} {names[i]}" for i, number in enumerate(called) if number)
    where = f" on {slides} slides" if slides > 1 else ""
    tiles = counted(selection.sum(), "tiles")
    return f"Chosen: {tiles}{where}, {mm2:.3g} mm² ({of_class})."


def most_called(space: EmbeddingMap, selection: NDArray[np.bool_]) -> str:
    """Return the class that is the most probable for most of the chosen tiles."""
    most = np.bincount(space.probability[selection].argmax(axis=1), minlength=1)
    return space.slides[0].tiles.classes[int(most.argmax())]


def _calls(space: EmbeddingMap, unlikeness: NDArray[np.float32] | None) -> NDArray[np.int8]:
    return space.calls(np.nan if unlikeness is None else unlikeness)


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


def describe_changes(
    mapped: Sequence[MappedSlide], wanted: Sequence[ScoredLayer], others: Sequence[ScoredLayer]
) -> str:
    """Say why a map is out of date; nothing if it is not.

    Parameters
    ----------
    mapped
        The slides in the map.
    wanted, others
        Those that would be in it by now, and those that would be left out, as another model is in
        force there.
    """
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
    by_another = {one.slide.quick_hash: one.slide.name for one in others}
    for mapped_hash in known:
        if mapped_hash in by_another:
            return (
                f"{by_another[mapped_hash]} was scored by another model: the map shows what it was "
                "before. Press Refresh to leave it out."
            )
    gone = set(known) - {scored.slide.quick_hash for scored in wanted}
    return "A slide of the map was closed: press Refresh." if gone else ""
