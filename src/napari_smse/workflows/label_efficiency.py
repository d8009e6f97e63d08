"""What happens when it is asked what the labels made so far are worth, without any Qt."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from shapely import MultiPolygon

from napari_smse.active_learning.label_efficiency import (
    LabelledTiles,
    label_efficiency_of,
)
from napari_smse.active_learning.learning_curve import LabelEfficiency, Verdict
from napari_smse.active_learning.query_strategy import covered_share
from napari_smse.annotations.tile_labels import nearest_areas
from napari_smse.errors import QueryError
from napari_smse.metrics.classification import balanced_accuracy
from napari_smse.metrics.estimate import MIN_CASES, MIN_TILES, Estimate, counted
from napari_smse.metrics.summary import predictions_from_scores, with_interval
from napari_smse.models import ModelCard
from napari_smse.models.card import TRAINING_IMAGES
from napari_smse.progress import Progress, Task
from napari_smse.tiles import ScaleTiles
from napari_smse.workflows.label_issues import annotated_classes
from napari_smse.workflows.scored_slide import ScoredSlide, cases_of, require_one_model
from napari_smse.workflows.suggest_tiles import asking_scale, require_one_scale

_NEEDED: Final = (
    "What labels are worth can be told once two classes are each labelled on slides of two cases, "
    "or in two regions of one case."
)
_A_CLASS: Final = "label tiles here, or draw regions (SMSE: Annotate)"


MOST: Final = 2000
"""Of more labelled tiles than these, a part is taken."""

_SPLITS: Final = 10
_BUDGETS: Final = (2, 4, 8, 16, 32, 64, 128, 256, 512)
_ASKED_FOR: Final = 20
_FEWEST_BUDGETS: Final = 2


@dataclass(frozen=True)
class LabelEfficiencyResult:
    """What the labels made so far are worth.

    Attributes
    ----------
    efficiency
        The curves.
    by_case
        Whether cases were held out; else other regions of the same cases.
    labelled
        How many tiles that do not overlap are labelled.
    taken
        How many of them were taken, by class; a part if there are very many.
    units
        How many cases they are of, or regions they lie in.
    fewest_units
        Of the class that lies in the fewest.
    left_out
        Classes that are of one case, or lie in one region, only.
    model_right
        Mean over the classes of the share of these tiles that the model calls right, with its
        interval by case or region; None if it does not know them all.
    tuned
        Whether the model was fine-tuned, perhaps with these very labels.
    """

    efficiency: LabelEfficiency
    by_case: bool
    labelled: int
    taken: Mapping[str, int]
    units: int
    fewest_units: int
    left_out: Sequence[str]
    model_right: Estimate | None
    tuned: bool

    @property
    def too_few(self) -> str:
        """What is missing before anything can be told, for a person; empty if nothing is.

        Half of what is labelled is held out, and figures need enough tiles and cases of a class on
        that side.
        """
        tiles, units = 2 * MIN_TILES, 2 * MIN_CASES
        word = "cases" if self.by_case else "regions"
        lacking = [
            f"{name} lacks {counted(tiles - number, 'tiles')}"
            for name, number in self.taken.items()
            if number < tiles
        ]
        if self.fewest_units < units:
            lacking.append(f"one class lacks {counted(units - self.fewest_units, word)}")
        if not lacking:
            return ""
        return f"each class needs {tiles} labelled tiles in {units} {word}; {', '.join(lacking)}"

    @property
    def verdict(self) -> Verdict:
        """Whether further labels help; not told from too few of them."""
        return "untold" if self.too_few else self.efficiency.verdict


def measure_label_efficiency(
    slides: Sequence[ScoredSlide],
) -> Task[LabelEfficiencyResult]:
    """Hold some of what is labelled out, and return how well the other labels call it.

    Tiles of other cases are held out if two classes are labelled on slides of two cases each, else
    tiles in other regions, at least two tile edges off.

    Raises
    ------
    QueryError
        No slide was scored, two models scored them, or at different scales; or there are too few
        labels, in which case the message says which.
    OutputError
        Scores cannot be read.
    """
    require_one_model(slides)
    read = []
    for one, case in zip(slides, cases_of(slides), strict=True):
        read.append(_Labelled(one, case))
        yield Progress(0, _SPLITS)
    labels = _Labels([one for one in read if len(one.names)])
    rows = labels.rows()
    units = labels.units[rows]
    tiles = LabelledTiles(
        labels.embeddings[rows],
        np.array([labels.classes.index(name) for name in labels.names[rows]]),
        units.tolist(),
        labels.probability[rows],
        labels.slides[rows].tolist(),
        None if labels.by_case else labels.places[rows],
    )
    efficiency = yield from label_efficiency_of(
        tiles, budgets=_BUDGETS, splits=_SPLITS, at_once=_ASKED_FOR
    )
    if len(efficiency.budgets) < _FEWEST_BUDGETS:
        raise QueryError(
            "There are too few labels to hold half of them out: label some more tiles of each "
            "class."
        )
    return labels.result(efficiency, rows, slides[0].run.card)


class _Labelled:
    """The labelled tiles of a slide that share no pixels, at the scale to ask at."""

    def __init__(self, one: ScoredSlide, case: str) -> None:
        tiles = one.run.store.tile_table()
        scale = asking_scale(tiles, one.run.card)
        grid, at = tiles.scales[scale], tiles.rows_of(scale)
        annotated = annotated_classes(one, tiles, scale)
        rows = np.flatnonzero(annotated.names != "")
        drawn = [drawn.geometry for drawn in one.annotations.annotations]
        # What lies in a region but in part is a neighbour of what was meant.
        share = covered_share(tiles.places[at][rows], drawn)
        share[np.isin(rows, list(annotated.reviewed))] = 1.0
        order = np.argsort(-share, kind="stable")
        rows = rows[not_overlapping(grid.take(rows), order)]
        part = grid.take(rows)
        self.mpp = grid.grid.spec.mpp
        self.names = annotated.names[rows].astype(str)
        self.regions = _region_of(one, part, self.names)
        self.slides = np.full(len(rows), one.slide.quick_hash)
        self.cases = np.full(len(rows), case)
        self.places = np.stack([part.x, part.y], axis=1) / part.grid.edge
        self.embeddings = tiles.embeddings[at][rows]
        self.probability = tiles.probability[at][rows]


def _region_of(one: ScoredSlide, tiles: ScaleTiles, names: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return which annotation of its class each tile lies in, or is nearest to.

    One by one, as squares of tiles that were labelled side by side are still separate labels.
    """
    slide, edge = one.slide.quick_hash, tiles.grid.edge
    found = np.array([f"{slide} tile {row}" for row in range(len(tiles))], dtype=object)
    for name in np.unique(names).tolist():
        parts = [
            (number, part)
            for number, drawn in enumerate(one.annotations.annotations)
            if drawn.class_name == name
            for part in getattr(drawn.geometry, "geoms", [drawn.geometry])
        ]
        rows = np.flatnonzero(names == name)
        if parts:
            areas = MultiPolygon([part for _, part in parts])
            near = nearest_areas(tiles.x[rows], tiles.y[rows], edge, areas)
            found[rows] = [f"{slide} {parts[part][0]}" for part in near.tolist()]
    return found.astype(str)


class _Labels:
    """The labelled tiles of all slides, and what they can be split by."""

    def __init__(self, read: Sequence[_Labelled]) -> None:
        if not read:
            raise QueryError(missing({}, {}))
        require_one_scale([one.mpp for one in read])
        self.names = np.concatenate([one.names for one in read])
        self.slides = np.concatenate([one.slides for one in read])
        cases = np.concatenate([one.cases for one in read])
        self.places = np.concatenate([one.places for one in read])
        self.embeddings = np.concatenate([one.embeddings for one in read])
        self.probability = np.concatenate([one.probability for one in read])
        regions = np.concatenate([one.regions for one in read])
        of_cases, in_regions = _units(self.names, cases), _units(self.names, regions)
        self.by_case = len(_several(of_cases)) > 1
        self._found = of_cases if self.by_case else in_regions
        self.units = cases if self.by_case else regions
        self.classes = _several(self._found)
        if len(self.classes) < 2:
            raise QueryError(missing(of_cases, in_regions))

    def rows(self) -> NDArray[np.intp]:
        """Return the tiles to take: all that can be judged, or of very many some of each unit."""
        rows = np.flatnonzero(np.isin(self.names, self.classes))
        pairs = zip(self.names[rows], self.units[rows], strict=True)
        return rows[evenly([f"{name} {unit}" for name, unit in pairs], MOST)]

    def result(
        self, efficiency: LabelEfficiency, rows: NDArray[np.intp], card: ModelCard
    ) -> LabelEfficiencyResult:
        """Return what was found, with what it was found on."""
        return LabelEfficiencyResult(
            efficiency,
            self.by_case,
            int(np.isin(self.names, self.classes).sum()),
            Counter(self.names[rows].tolist()),
            len(np.unique(self.units[rows])),
            min(self._found[name] for name in self.classes),
            [name for name in self._found if name not in self.classes],
            _model_right(
                self.names[rows], self.probability[rows], card.classes, self.units[rows].tolist()
            ),
            TRAINING_IMAGES in card.recipe,
        )


def not_overlapping(tiles: ScaleTiles, order: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the rows of tiles that share no pixel, the first of an order before later ones."""
    grid = tiles.grid
    reach = math.ceil(1 / (1 - grid.spec.overlap) - 1e-6) - 1
    taken = np.zeros((grid.rows + 2 * reach, grid.columns + 2 * reach), dtype=bool)
    kept = []
    for row in order.tolist():
        down, across = int(tiles.rows[row]), int(tiles.columns[row])
        if not taken[down : down + 2 * reach + 1, across : across + 2 * reach + 1].any():
            taken[down + reach, across + reach] = True
            kept.append(row)
    return np.sort(np.array(kept, dtype=np.intp))


def evenly(groups: Sequence[str], most: int) -> NDArray[np.intp]:
    """Return so many rows at most, as many of each group as can be, the same every time."""
    if len(groups) <= most:
        return np.arange(len(groups))
    turn: Counter[str] = Counter()
    keyed = []
    for row in np.random.default_rng(0).permutation(len(groups)).tolist():
        keyed.append((turn[groups[row]], row))
        turn[groups[row]] += 1
    # Stable, as the rows of a turn are in random order.
    keyed.sort(key=lambda one: one[0])
    return np.sort(np.array([row for _, row in keyed[:most]], dtype=np.intp))


def _units(names: NDArray[np.str_], units: NDArray[np.str_]) -> dict[str, int]:
    """Return how many units each class lies in."""
    return {str(one): len(np.unique(units[names == one])) for one in np.unique(names)}


def _several(found: Mapping[str, int]) -> list[str]:
    return [name for name, number in found.items() if number > 1]


def _model_right(
    names: NDArray[np.str_],
    probability: NDArray[np.float32],
    known: Sequence[str],
    units: Sequence[str],
) -> Estimate | None:
    classes = np.unique(names)
    if not set(classes) <= set(known):
        return None
    labels = np.array([list(known).index(name) for name in names.tolist()])
    # A class that nobody labelled has no recall, and no call of it is right.
    right = probability.argmax(axis=1) == labels
    shown = np.searchsorted(classes, names)
    called = np.where(right, shown, (shown + 1) % len(classes))
    return with_interval(
        balanced_accuracy, predictions_from_scores(np.eye(len(classes))[called], shown, units)
    )


def missing(cases: Mapping[str, int], regions: Mapping[str, int]) -> str:
    """Say which labels are missing.

    Parameters
    ----------
    cases, regions
        Of how many cases, and in how many regions, each class is labelled.
    """
    if not cases:
        return f"{_NEEDED} Nothing is labelled yet: {_A_CLASS}."
    alone = [name for name, number in regions.items() if number < 2]
    if len(cases) == 1:
        (name,) = cases
        where = " and in one place only" if alone else ""
        return f"{_NEEDED} Only {name} is labelled so far{where}: label a second class as well."
    are = "is" if len(alone) == 1 else "are each"
    return (
        f"{_NEEDED} {' and '.join(alone)} {are} labelled in one place only: label more of "
        f"{'it' if len(alone) == 1 else 'them'} elsewhere."
    )
