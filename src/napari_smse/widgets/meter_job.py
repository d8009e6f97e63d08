"""What happens when slides are measured against classes, without any Qt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_smse.errors import QueryError
from napari_smse.learning.region_tiles import label_tiles
from napari_smse.similarity.batch_effect import BatchEffect, batch_effect
from napari_smse.similarity.slide_tiles import SlideTiles, slide_tiles
from napari_smse.widgets.asked_slides import AskedSlide, require_one_model
from napari_smse.widgets.queue_job import asking_scale

_A_SLIDE = 1500
_FEWEST_DRAWN = 10
_NEEDED = "Score at least two slides with one model (SMSE: Score slide), and open them here."


@dataclass(frozen=True)
class Measured:
    """How far slides differ.

    Attributes
    ----------
    effect
        The figures.
    slides, tiles
        How many were compared.
    by_drawing
        Whether the classes are those drawn; else they are what the model calls the tiles.
    """

    effect: BatchEffect
    slides: int
    tiles: int
    by_drawing: bool


def measure(slides: Sequence[AskedSlide]) -> Iterator[Measured]:
    """Yield how well neighbours tell the slide of a tile, and its class.

    Raises
    ------
    QueryError
        Fewer than two slides were scored, or by two models.
    OutputError
        Scores cannot be read.
    """
    if len(slides) < 2:
        raise QueryError(_NEEDED)
    require_one_model(slides)
    read = [_Sample(one) for one in slides]
    mpps = {one.mpp for one in read}
    if len(mpps) > 1:
        scales = ", ".join(f"{mpp:g}" for mpp in sorted(mpps))
        raise QueryError(
            f"The slides were scored at different scales ({scales} um/px), which would be told "
            "apart: score all of them at the same."
        )
    drawn = Counter(name for one in read for name in one.drawn if name)
    several = [name for name, number in drawn.items() if number >= _FEWEST_DRAWN]
    by_drawing = len(several) > 1
    names = [name for one in read for name in (one.drawn if by_drawing else one.called)]
    kept = np.array([not by_drawing or name in several for name in names])
    identities = np.repeat([one.slide for one in read], [len(one.called) for one in read])
    embeddings = np.concatenate([one.embeddings for one in read])
    places = np.concatenate([one.places for one in read])
    effect = batch_effect(
        embeddings[kept],
        identities[kept].tolist(),
        np.array(names)[kept].tolist(),
        places=places[kept],
    )
    yield Measured(effect, len(read), int(kept.sum()), by_drawing)


class _Sample:
    """Some tiles of a slide, at the scale to ask at."""

    def __init__(self, one: AskedSlide) -> None:
        tiles = slide_tiles(one.started.store)
        scale = asking_scale(tiles, one.started.card)
        grid = tiles.scales[scale]
        rows = _some(len(grid))
        part = grid.take(rows)
        at = tiles.rows_of(scale).start + rows
        regions = one.drawn.regions()
        labels = label_tiles(part.x, part.y, part.grid.edge, regions, one.started.plan.mask)
        names = list(regions)
        self.slide = one.slide.quick_hash
        self.mpp = grid.grid.spec.mpp
        self.drawn = [names[label] if label >= 0 else "" for label in labels.tolist()]
        self.called = _called(tiles, at)
        self.embeddings = tiles.embeddings[at]
        self.places = np.stack([part.x, part.y], axis=1) / part.grid.edge


def _some(number: int) -> NDArray[np.intp]:
    """Return numbers of tiles drawn at random, the same every time."""
    rows = np.random.default_rng(0).permutation(number)[:_A_SLIDE]
    return np.sort(rows)


def _called(tiles: SlideTiles, rows: NDArray[np.intp]) -> list[str]:
    return [tiles.classes[int(best)] for best in tiles.probability[rows].argmax(axis=1)]
