"""Which tiles of a scored slide look unlike everything a model knows, whatever it calls them.

What it knows lies beside its weights (`ood/reference.py`).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_smse.scoring import ScoreStore, read_block
from napari_smse.scoring.tile_table import TileTable
from napari_smse.similarity.exemplar_bank import ExemplarBank
from napari_smse.similarity.ood.reference import OodReference
from napari_smse.slides import Slide
from napari_smse.tiles import ReadBlock, TilePlan
from napari_smse.tiles.appearance import MEASURES, appearance_features

Appearance = list[NDArray[np.float32]]
"""What the tiles of a plan look like: for each scale ``(n, k)``; NaN where that is not known."""


def no_appearance(plan: TilePlan) -> Appearance:
    """Return what is known before any tile was read."""
    return [np.full((len(scale), len(MEASURES)), np.nan, np.float32) for scale in plan.scales]


def read_appearance(
    slide: Slide, plan: TilePlan, store: ScoreStore, appearances: Appearance
) -> Generator[float, None, None]:
    """Find what the scored tiles of a slide look like, yielding the share that is done.

    Parameters
    ----------
    slide, plan, store
        Of a run; blocks that it has not scored are left out. What the store does not know, as one
        of an earlier version, is read from the slide.
    appearances
        Filled in; what is there is not read again.

    Raises
    ------
    DamagedSlideError
        The slide cannot be read.
    """
    for number, appearance in enumerate(appearances):
        missing = np.isnan(appearance[:, 0])
        if missing.any():
            appearance[missing] = store.appearance(number)[missing]
    done = np.flatnonzero(store.blocks_done()).tolist()
    todo = [number for number in done if not _is_known(appearances, plan.blocks[number])]
    for count, number in enumerate(todo, start=1):
        block = plan.blocks[number]
        _put(appearances, block.members, appearance_features(read_block(slide, plan, block)))
        yield count / len(todo)


def reference_with(
    known: OodReference, bank: ExemplarBank | None, classes: Sequence[str]
) -> OodReference:
    """Return what a model knows with the exemplars of a bank besides.

    Parameters
    ----------
    known
        By the model.
    bank
        Exemplars of which it is known what they look like are taken, slide by slide.
    classes
        The model's. Exemplars of others are left out: what a class head cannot name, such as ink,
        does not become known to it.
    """
    if bank is None:
        return known
    rows = [
        row
        for row in np.flatnonzero(np.isfinite(bank.appearances).all(axis=1)).tolist()
        if bank.class_name(row) in classes
    ]
    sources = [bank.sources[row] for row in rows]
    return known.extended(sources, bank.mpps[rows], bank.appearances[rows])


def ood_scores(
    tiles: TileTable, plan: TilePlan, appearances: Appearance, known: OodReference
) -> NDArray[np.float32]:
    """Return how unlike everything known the scored tiles of a slide are, ``(n,)``.

    Parameters
    ----------
    tiles, plan, appearances
        The tiles, the plan they are of, and what that plan's tiles look like.
    known
        By the model.
    """
    index = tiles.index_in(plan.scales)
    of_scales = [all_of[own] for all_of, own in zip(appearances, index, strict=True)]
    return known.ood_scores(np.concatenate(of_scales), tiles.mpps)


def _is_known(appearances: Appearance, block: ReadBlock) -> bool:
    return not any(
        np.isnan(appearances[scale][start:stop, 0]).any() for scale, start, stop in block.members
    )


def _put(
    found: Sequence[NDArray[np.float32]],
    members: Sequence[tuple[int, int, int]],
    appearances: NDArray[np.float32],
) -> None:
    row = 0
    for scale, start, stop in members:
        found[scale][start:stop] = appearances[row : row + stop - start]
        row += stop - start
