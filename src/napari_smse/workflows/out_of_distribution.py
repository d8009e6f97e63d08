"""How far the tiles of a slide lie from everything that its model was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.metrics.estimate import Estimate, share_estimate
from napari_smse.progress import Progress, Task
from napari_smse.results.slide_summary import SlideSummary, summarise_slide
from napari_smse.scoring import (
    HeatMap,
    ScoreMaps,
    fuse,
    fused_scales,
    is_trained_scale,
)
from napari_smse.scoring.calls import OOD_LIMIT, CallRule
from napari_smse.scoring.score_maps import name_scales
from napari_smse.scoring.tile_table import TileTable
from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.similarity.ood.detection import (
    Appearance,
    no_appearance,
    ood_scores,
    read_appearance,
    reference_with,
)
from napari_smse.similarity.ood.reference import OodReference, load_ood_reference
from napari_smse.slides import Slide
from napari_smse.tiles import ScaleTiles
from napari_smse.tiles.appearance import appearance_features
from napari_smse.workflows.scored_slide import Run

_RUNS_KEPT: Final = 8
_BLOCK: Final = 8
"""Edge of a block of neighbouring tiles, in tiles."""

_appearances: dict[Path, Appearance] = {}


@dataclass(frozen=True)
class OodScores:
    """How far tiles are out of distribution.

    Attributes
    ----------
    values
        ``(n,)``: above 1, out of distribution; NaN where that cannot be told.
    known
        Whether the model says what it knows at all.
    added
        Whether added exemplars count as known, too.
    reference
        What the tiles were compared with.
    """

    values: NDArray[np.float32]
    known: bool = True
    added: bool = False
    reference: OodReference | None = None


@dataclass(frozen=True, eq=False)
class RunOod:
    """How far the scored tiles of a run are out of distribution.

    Attributes
    ----------
    run, bank
        The run, and exemplars that count as known besides.
    tiles
        Its scored tiles.
    scores
        Of these.
    """

    run: Run
    bank: ExemplarBank | None
    tiles: TileTable
    scores: OodScores

    def of_scale(self, number: int) -> NDArray[np.float32]:
        """Return the scores of the tiles of one scale."""
        return np.asarray(self.scores.values[self.tiles.rows_of(number)])

    def of_plan(self, number: int) -> NDArray[np.float32]:
        """Return the scores of all planned tiles of one scale; NaN for what is not scored."""
        planned = self.run.plan.scales
        scores = np.full(len(planned[number]), np.nan, dtype=np.float32)
        scores[self.tiles.index_in(planned)[number]] = self.of_scale(number)
        return scores

    def in_range(self, number: int) -> bool:
        """Whether the model was trained at a scale; at another nothing is called."""
        return is_trained_scale(self.tiles.scales[number].grid.spec.mpp, self.run.card)

    @cached_property
    def heat_maps(self) -> list[HeatMap]:
        """The maps of all scales, see `heat_map`."""
        return [self.heat_map(number) for number in range(len(self.tiles.scales))]

    def heat_map(self, number: int) -> HeatMap:
        """Return a map of one scale: 1 out of distribution, 0 not, NaN where nothing was scored."""
        unlike = (self.scores.values > OOD_LIMIT) | (not self.in_range(number))
        return self.tiles.heat_map(unlike.astype(np.float32), number)

    def map_of(self, scale: str) -> HeatMap:
        """Return the map of a scale by its name, or that of the mean over scales."""
        names = name_scales([tiles.grid.spec.mpp for tiles in self.tiles.scales])
        return self.heat_maps[names.index(scale)] if scale in names else self.mean_map

    @cached_property
    def mean_map(self) -> HeatMap:
        """Of the mean over scales: which share of those it is made of is out of distribution."""
        mpps = [scale.grid.spec.mpp for scale in self.tiles.scales]
        return fuse([self.heat_maps[number] for number in fused_scales(mpps, self.run.card)])


def measure_run(slide: Slide, run: Run, bank: ExemplarBank | None = None) -> Task[RunOod]:
    """Measure all scored tiles of a run; parameters and errors are those of `measure_ood`."""
    tiles = run.store.tile_table()
    scores = yield from measure_ood(slide, run, tiles, bank)
    return RunOod(run, bank, tiles, scores)


def measure_ood(
    slide: Slide, run: Run, tiles: TileTable, bank: ExemplarBank | None = None
) -> Task[OodScores]:
    """Read the scored tiles of a slide, and compare them with what its model knows.

    What was read of a run is kept for the next time.

    Parameters
    ----------
    slide, run, tiles
        A slide, its run, and what of it is scored.
    bank
        Exemplars that are known besides.

    Raises
    ------
    SlideError
        The slide cannot be read.
    DamagedModelError
        What the model knows cannot be read.
    """
    known = load_ood_reference(run.model, run.card.weights_sha256)
    if known is None:
        return OodScores(np.full(len(tiles), np.nan, np.float32), known=False)
    appearance = _appearance_of(run)
    for share in read_appearance(slide, run.plan, run.store, appearance):
        yield Progress(round(share * len(tiles)), len(tiles))
    wider = reference_with(known, bank, run.card.classes)
    values = ood_scores(tiles, run.plan, appearance, wider)
    added = len(wider.appearances) > len(known.appearances)
    return OodScores(values, added=added, reference=wider)


def summarise_run(
    run: Run, maps: ScoreMaps, rule: CallRule, class_name: str, ood: RunOod | None
) -> SlideSummary:
    """Return what is called on a slide as its maps show it.

    Parameters
    ----------
    run, maps
        The run, and the probabilities that are shown of it.
    rule
        How tiles are called.
    class_name
        The class whose probabilities and hottest spots are wanted.
    ood
        What is out of distribution; None if that is not measured yet.
    """
    scales = maps.scores()
    unknown = [np.full(len(one.tiles), np.nan, dtype=np.float32) for one in scales]
    measured = unknown if ood is None else [ood.of_plan(number) for number in range(len(scales))]
    return summarise_slide(scales, measured, run.card, rule, class_name)


def ood_share(values: NDArray[np.float32], tiles: ScaleTiles) -> Estimate:
    """Return the share of a scale's tiles that are out of distribution, with its interval.

    Tiles for which that cannot be told are left out. Neighbouring tiles are alike, so that the
    interval is by blocks of them; `Estimate.cases` is their number.

    Parameters
    ----------
    values
        ``(n,)``, of the tiles of that scale: above 1, unlike.
    tiles
        Where they lie.
    """
    told = np.flatnonzero(np.isfinite(values))
    blocks = zip(
        (tiles.rows[told] // _BLOCK).tolist(), (tiles.columns[told] // _BLOCK).tolist(), strict=True
    )
    return share_estimate(values[told] > 1, list(blocks))


def appearance_of_tiles(
    slide: Slide, run: Run, tiles: TileTable, rows: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Return what some scored tiles look like, ``(m, k)``; they are read unless they were before.

    Parameters
    ----------
    slide, run, tiles
        A slide, its run, and what of it is scored.
    rows
        ``(m,)``, which tiles.

    Raises
    ------
    SlideError
        The slide cannot be read.
    """
    index = tiles.index_in(run.plan.scales)
    read = zip(_appearance_of(run), index, strict=True)
    found = np.concatenate([appearance[own] for appearance, own in read])[rows]
    for number in np.flatnonzero(np.isnan(found[:, 0])).tolist():
        row = rows[number]
        pixels = run.plan.source(slide).read(tiles.region(row), float(tiles.mpps[row]))
        found[number] = appearance_features(pixels[None])[0]
    return found


def _appearance_of(run: Run) -> Appearance:
    """Return what is known of a run's tiles, to be filled in."""
    plan, path = run.plan, run.store.path
    appearance = _appearances.setdefault(path, no_appearance(plan))
    if [len(one) for one in appearance] != [len(one) for one in plan.scales]:
        appearance = _appearances[path] = no_appearance(plan)
    while len(_appearances) > _RUNS_KEPT:
        del _appearances[next(iter(_appearances))]
    return appearance
