"""Which tiles to annotate next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_smse.active_learning.query_strategy import UnlabelledPool, select_tiles, unlabelled_pool
from napari_smse.errors import QueryError
from napari_smse.models import ModelCard
from napari_smse.scoring import fused_scales
from napari_smse.scoring.tile_table import TileTable
from napari_smse.slides import Region
from napari_smse.workflows.scored_slide import ScoredSlide, TileOnSlide, require_one_model


@dataclass(frozen=True)
class QueuedTile:
    """A tile worth a label.

    Attributes
    ----------
    tile
        Where it is.
    called
        What the model calls it; nothing if it knows no classes.
    probability
        Of that class.
    """

    tile: TileOnSlide
    called: str
    probability: float


@dataclass(frozen=True)
class Suggestions:
    """The tiles to annotate next, in order."""

    queue: Sequence[QueuedTile]


def find_next(slides: Sequence[ScoredSlide], count: int) -> Suggestions:
    """Return the tiles of the slides that are worth a label next.

    Raises
    ------
    QueryError
        No slide was scored, two models scored them, or no tile is left to ask for.
    OutputError
        Scores cannot be read.
    """
    require_one_model(slides)
    parts: list[UnlabelledPool] = []
    mpps: list[float] = []
    for one in slides:
        tiles = one.run.store.tile_table()
        scale = asking_scale(tiles, one.run.card)
        annotated = [drawn.geometry for drawn in one.annotations.annotations]
        found = unlabelled_pool(tiles, scale, annotated)
        parts.append(found.without_places(_corrected(one)))
        mpps.append(tiles.scales[scale].grid.spec.mpp)
    card = slides[0].run.card
    queue = []
    for chosen in select_tiles(parts, count):
        part = parts[chosen.slide]
        probability = part.probability[chosen.row]
        region = Region(*(int(side) for side in part.places[chosen.row]))
        best = int(probability.argmax())
        on_slide = TileOnSlide(slides[chosen.slide].slide, region, mpps[chosen.slide])
        called = card.classes[best] if card.knows_classes else ""
        queue.append(QueuedTile(on_slide, called, float(probability[best])))
    if not queue:
        raise QueryError(
            "No tile is left to ask for: all that was scored is annotated or mostly glass. Score "
            "another slide, or more of this one."
        )
    return Suggestions(queue)


def asking_scale(tiles: TileTable, card: ModelCard) -> int:
    """Return the coarsest scale that the model was trained on, if it was scored.

    A label of a large tile is one of the small tiles inside of it, too, and a person sees more.
    """
    known = fused_scales([one.grid.spec.mpp for one in tiles.scales], card)
    scored = [number for number in known if len(tiles.scales[number])]
    return max(scored or known, key=lambda number: tiles.scales[number].grid.spec.mpp)


def require_one_scale(mpps: Sequence[float]) -> None:
    """Refuse to compare tiles of different scales.

    Raises
    ------
    QueryError
        There are two; the message names them.
    """
    if len(set(mpps)) > 1:
        scales = ", ".join(f"{mpp:g}" for mpp in sorted(set(mpps)))
        raise QueryError(
            f"The slides were scored at different scales ({scales} µm/px), which would be told "
            "apart: score all of them at the same."
        )


def _corrected(one: ScoredSlide) -> NDArray[np.int64]:
    """Return the places of tiles that were corrected or ignored, ``(m, 4)``."""
    known = [
        (correction.place.x, correction.place.y, correction.place.width, correction.place.height)
        for correction in one.annotations.corrections
        if correction.action != "exemplar"
    ]
    return np.array(known, dtype=np.int64).reshape(-1, 4)
