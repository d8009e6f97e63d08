"""How far the tiles of a slide lie from everything that its model was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_smse.metrics.estimate import Estimate, share_estimate
from napari_smse.progress import Progress, Task
from napari_smse.scoring.tile_table import TileTable
from napari_smse.similarity.appearance import appearance_features
from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.similarity.ood.detection import (
    Appearance,
    no_appearance,
    ood_scores,
    read_appearance,
    reference_with,
)
from napari_smse.similarity.ood.reference import load_ood_reference
from napari_smse.slides import Slide
from napari_smse.tiles import ScaleTiles
from napari_smse.workflows.scored_slide import Run

_RUNS_KEPT: Final = 8
_BLOCK: Final = 8
"""Edge of a block of neighbouring tiles, in tiles."""

_appearances: dict[Path, Appearance] = {}


@dataclass(frozen=True)
class OodScores:
    """How unlike everything reference tiles are.

    Attributes
    ----------
    values
        ``(n,)``: above 1, unlike; NaN where that cannot be told.
    known
        Whether the model says what it knows at all.
    added
        Whether added exemplars count as known, too.
    """

    values: NDArray[np.float32]
    known: bool = True
    added: bool = False


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
    return OodScores(values, added=len(wider.appearances) > len(known.appearances))


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
        pixels = slide.read(tiles.region(row), float(tiles.mpps[row]))
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
