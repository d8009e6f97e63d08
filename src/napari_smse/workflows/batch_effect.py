"""How far slides differ, measured against how far classes do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_smse.annotations.tile_labels import assign_classes
from napari_smse.errors import QueryError
from napari_smse.scoring.tile_table import TileTable
from napari_smse.similarity.batch_effect import BatchEffect, batch_effect
from napari_smse.tiles import ScaleTiles
from napari_smse.workflows.scored_slide import ScoredSlide, cases_of, require_one_model
from napari_smse.workflows.suggest_tiles import asking_scale, require_one_scale

_A_SLIDE = 1500
_FEWEST_DRAWN = 10
_NEEDED = "Score at least two slides with one model, and measure again."


@dataclass(frozen=True)
class BatchEffectResult:
    """How far slides differ.

    Attributes
    ----------
    effect
        The figures.
    slides, tiles
        How many were compared.
    by_drawing
        Whether the classes are those drawn, or given to single tiles; else they are what the model
        calls the tiles.
    """

    effect: BatchEffect
    slides: int
    tiles: int
    by_drawing: bool


@dataclass(frozen=True)
class ComparedTiles:
    """Tiles of several slides that are compared.

    Attributes
    ----------
    slides
        The slides.
    of_slide
        ``(n,)``, number of each tile's slide.
    grids
        The tiles of each slide at the scale that is compared.
    rows
        ``(n,)``, of each tile among those.
    names
        ``(n,)``, its class.
    embeddings
        ``(n, d)`` float32, each of length 1.
    by_drawing
        Whether the classes are those drawn, or given to single tiles; else they are what the model
        calls the tiles.
    case_of_slide
        The case of each slide.
    """

    slides: Sequence[ScoredSlide]
    of_slide: NDArray[np.intp]
    grids: Sequence[ScaleTiles]
    rows: NDArray[np.intp]
    names: NDArray[np.str_]
    embeddings: NDArray[np.float32]
    by_drawing: bool
    case_of_slide: Sequence[str]

    def take(self, index: NDArray[np.intp]) -> ComparedTiles:
        """Return some of them."""
        return replace(
            self,
            of_slide=self.of_slide[index],
            rows=self.rows[index],
            names=self.names[index],
            embeddings=self.embeddings[index],
        )

    @property
    def numbers(self) -> list[int]:
        """Numbers of the slides that any tile is of."""
        found: list[int] = np.unique(self.of_slide).tolist()
        return found

    @property
    def identities(self) -> list[str]:
        """What tells the slide of each tile."""
        return [self.slides[number].slide.quick_hash for number in self.of_slide.tolist()]

    @property
    def cases(self) -> list[str]:
        """The case of each tile."""
        return [self.case_of_slide[number] for number in self.of_slide.tolist()]

    @property
    def places(self) -> NDArray[np.float64]:
        """Corners of the tiles in tile edges, ``(n, 2)``."""
        found = np.empty((len(self.rows), 2))
        for number, grid in enumerate(self.grids):
            own = self.of_slide == number
            part = grid.take(self.rows[own])
            found[own] = np.stack([part.x, part.y], axis=1) / part.grid.edge
        return found


def measure_batch_effect(slides: Sequence[ScoredSlide]) -> BatchEffectResult:
    """Return how well neighbours tell the slide of a tile, and neighbours of other cases its class.

    Raises
    ------
    QueryError
        Fewer than two slides were scored, or by two models.
    OutputError
        Scores cannot be read.
    """
    tiles = compared_tiles(slides)
    effect = batch_effect(
        tiles.embeddings,
        tiles.identities,
        tiles.names.tolist(),
        cases=tiles.cases,
        places=tiles.places,
    )
    return BatchEffectResult(effect, len(tiles.numbers), len(tiles.rows), tiles.by_drawing)


def compared_tiles(slides: Sequence[ScoredSlide]) -> ComparedTiles:
    """Return tiles of each slide, drawn at random, the same every time.

    Raises
    ------
    QueryError
        Fewer than two slides were scored, or by two models, or at different scales.
    OutputError
        Scores cannot be read.
    """
    if len(slides) < 2:
        raise QueryError(_NEEDED)
    require_one_model(slides)
    read = [_Sample(one) for one in slides]
    require_one_scale([one.mpp for one in read])
    drawn = Counter(name for one in read for name in one.drawn if name)
    several = [name for name, number in drawn.items() if number >= _FEWEST_DRAWN]
    by_drawing = len(several) > 1
    names = [name for one in read for name in (one.drawn if by_drawing else one.called)]
    found = ComparedTiles(
        slides,
        np.repeat(np.arange(len(read)), [len(one.rows) for one in read]),
        [one.grid for one in read],
        np.concatenate([one.rows for one in read]),
        np.array(names, dtype=str),
        np.concatenate([one.embeddings for one in read]),
        by_drawing,
        cases_of(slides),
    )
    kept = np.array([not by_drawing or name in several for name in names], dtype=bool)
    return found.take(np.flatnonzero(kept))


class _Sample:
    """Some tiles of a slide, at the scale to ask at."""

    def __init__(self, one: ScoredSlide) -> None:
        tiles = one.run.store.tile_table()
        scale = asking_scale(tiles, one.run.card)
        self.grid = tiles.scales[scale]
        self.rows = _some(len(self.grid))
        part = self.grid.take(self.rows)
        at = tiles.rows_of(scale).start + self.rows
        classes = assign_classes(
            part,
            one.slide.quick_hash,
            one.regions,
            one.run.plan.mask,
            one.annotations.corrections,
        )
        self.mpp = self.grid.grid.spec.mpp
        self.drawn: list[str] = classes.class_names.tolist()
        self.called = _called(tiles, at)
        self.embeddings = tiles.embeddings[at]


def _some(number: int) -> NDArray[np.intp]:
    """Return numbers of tiles drawn at random, the same every time."""
    rows = np.random.default_rng(0).permutation(number)[:_A_SLIDE]
    return np.sort(rows)


def _called(tiles: TileTable, rows: NDArray[np.intp]) -> list[str]:
    return [tiles.classes[int(best)] for best in tiles.probability[rows].argmax(axis=1)]
