"""Which labels are suspected to be wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_smse.active_learning.label_issues import find_label_issues
from napari_smse.annotations.tile_labels import assign_classes, nearest_areas
from napari_smse.annotations.tile_notes import TileCorrection, TilePlace
from napari_smse.errors import QueryError
from napari_smse.scoring.tile_table import TileTable
from napari_smse.workflows.scored_slide import ScoredSlide, TileOnSlide, require_one_model

_MOST = 60


@dataclass(frozen=True)
class LabelIssue:
    """An annotated tile whose neighbours are of another class.

    Attributes
    ----------
    tile
        Where it is.
    drawn, suggested
        Its class, and that of its neighbours.
    score
        Share of the neighbours, by nearness, that say otherwise.
    """

    tile: TileOnSlide
    drawn: str
    suggested: str
    score: float


@dataclass(frozen=True)
class LabelIssueResult:
    """The labels that neighbours doubt, most doubted first.

    Attributes
    ----------
    tiles
        The first of them.
    doubted, annotated
        How many are doubted, of how many annotated tiles.
    alone
        Classes of one region only, which neighbours cannot judge.
    """

    tiles: Sequence[LabelIssue]
    doubted: int
    annotated: int
    alone: Sequence[str]


@dataclass(frozen=True)
class AnnotatedClasses:
    """The classes that a person gave the tiles of one scale, by drawing or one by one.

    Attributes
    ----------
    names
        ``(n,)``, the class of each; empty if none was given, or the tile is not to be learnt from.
    groups
        ``(n,)``, the region that each lies in.
    reviewed
        Rows that were reviewed one by one.
    """

    names: NDArray[np.object_]
    groups: NDArray[np.object_]
    reviewed: set[int]


def annotated_classes(one: ScoredSlide, tiles: TileTable, scale: int) -> AnnotatedClasses:
    """Return the classes given to the tiles of one scale of a slide."""
    grid = tiles.scales[scale]
    slide, regions, mpp = one.slide.quick_hash, one.regions, grid.grid.spec.mpp
    found = assign_classes(grid, slide, regions, one.run.plan.mask, one.annotations.corrections)
    groups = np.array([f"{slide} {mpp} {row}" for row in range(len(grid))], dtype=object)
    for number, (name, area) in enumerate(regions.items()):
        rows = np.flatnonzero(found.drawn == number)
        if len(rows):
            near = nearest_areas(grid.x[rows], grid.y[rows], grid.grid.edge, area)
            groups[rows] = [f"{slide} {name} {part}" for part in near]
    return AnnotatedClasses(found.class_names, groups, set(np.flatnonzero(found.reviewed).tolist()))


@dataclass
class _AnnotatedTiles:
    """Annotated tiles of several slides, one list for each of their facts."""

    classes: tuple[str, ...]
    tiles: list[TileOnSlide] = field(default_factory=list)
    embeddings: list[NDArray[np.float32]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    reviewed: list[bool] = field(default_factory=list)

    def take(self, one: ScoredSlide) -> None:
        """Add the tiles of a slide that lie in a region, or were given a class by hand."""
        tiles = one.run.store.tile_table()
        for scale in range(len(tiles.scales)):
            self._take_scale(one, tiles, scale)

    def _take_scale(self, one: ScoredSlide, tiles: TileTable, scale: int) -> None:
        first, mpp = tiles.rows_of(scale).start, tiles.scales[scale].grid.spec.mpp
        annotated = annotated_classes(one, tiles, scale)
        for row in np.flatnonzero(np.isin(annotated.names, self.classes)).tolist():
            self.tiles.append(TileOnSlide(one.slide, tiles.region(first + row), mpp))
            self.embeddings.append(tiles.embeddings[first + row])
            self.labels.append(self.classes.index(annotated.names[row]))
            self.groups.append(annotated.groups[row])
            self.reviewed.append(row in annotated.reviewed)


def find_suspected_labels(slides: Sequence[ScoredSlide]) -> LabelIssueResult:
    """Return the annotated tiles whose nearest neighbours are of other classes.

    What a person said of a tile is not doubted again.

    Raises
    ------
    QueryError
        No slide was scored, two models scored them, or there are no two classes to compare.
    OutputError
        Scores cannot be read.
    """
    require_one_model(slides)
    found = _AnnotatedTiles(_classes(slides))
    for one in slides:
        found.take(one)
    if len(set(found.labels)) < 2:
        raise QueryError(
            "There are no scored tiles in regions of two classes: draw at least two regions of "
            "each class (SMSE: Annotate)."
        )
    labels = np.array(found.labels)
    doubts = find_label_issues(np.stack(found.embeddings), labels, found.groups)
    order = [row for row in doubts.order.tolist() if not found.reviewed[row]]
    tiles = [
        LabelIssue(
            found.tiles[row],
            found.classes[labels[row]],
            found.classes[doubts.suggested[row]],
            float(doubts.score[row]),
        )
        for row in order[:_MOST]
    ]
    return LabelIssueResult(tiles, len(order), len(labels), _alone(found))


def correction_of(tile: TileOnSlide, class_name: str) -> TileCorrection:
    """Return that a tile is of a class, or, without one, is not to be learnt from."""
    one = tile.region
    place = TilePlace(tile.slide.quick_hash, tile.mpp, one.x, one.y, one.width, one.height)
    return TileCorrection(place, "class" if class_name else "ignore", class_name)


def _classes(slides: Sequence[ScoredSlide]) -> tuple[str, ...]:
    drawn = [name for one in slides for name in one.regions]
    annotated = [
        correction.class_name
        for one in slides
        for correction in one.annotations.corrections
        if correction.action == "class" and correction.class_name
    ]
    return tuple(dict.fromkeys(drawn + annotated))


def _alone(found: _AnnotatedTiles) -> list[str]:
    groups: dict[int, set[str]] = {}
    for label, group in zip(found.labels, found.groups, strict=True):
        groups.setdefault(label, set()).add(group)
    return [found.classes[label] for label, some in sorted(groups.items()) if len(some) < 2]
